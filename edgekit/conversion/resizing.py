"""Files that take any size between two: what refuses them, what proves them, and running them at all their sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.conversion.check import check_answers
from edgekit.conversion.running import request
from edgekit.errors import ConversionError, UsageError
from edgekit.plugins import Converter, Emitted, Runtime
from edgekit.progress import track
from edgekit.sizes import ONE_BY_ONE, corners, shape_at, tried, typical

if TYPE_CHECKING:
    from edgekit.graph import Graph


def require_resizable(graph: Graph, converter: Converter | None, who: str) -> None:
    """Raise a `UsageError` if the graph has open sizes and its file could not."""
    if graph.open_sizes and not getattr(converter, "resizable", False):
        raise UsageError(
            f"{graph.open_sizes[0]} is open, and {who} makes files of fixed sizes only",
            accepted="targets whose format is litert, such as android",
            next_step="give one size: --dim NAME:AXIS=SIZE",
        )


def resizing_as(graph: Graph, lowered: Graph) -> Graph:
    """The lowered graph, proved to be resized as the canonical one is.

    Raises:
        LoadError: At some size it answers something else.
        ConversionError: An operator cannot be resized.
    """
    from edgekit.canonicalize.opening import prove  # noqa: PLC0415 - torch loads where it is needed
    from edgekit.resizing import resized  # noqa: PLC0415

    if not graph.open_sizes:
        return lowered
    _refuse_steps(graph, lowered)
    for sizes in tried(graph.open_sizes):
        prove(resized(lowered, sizes), resized(graph, sizes), graph.open_sizes, sizes)
    return lowered


def _refuse_steps(graph: Graph, lowered: Graph) -> None:
    """Raise a `ConversionError` for a recurrence that lowering wrote out for one length of its sequence and one batch."""
    from edgekit.graph import aten, module_path, op_name, shape_of  # noqa: PLC0415
    from edgekit.resizing import resized  # noqa: PLC0415

    kept = {n.name for n in lowered.nodes}
    elsewhere = {n.name: n for sizes in corners(graph.open_sizes) for n in resized(graph, sizes).nodes}
    for node in graph.nodes:
        if node.target in (aten.lstm.input, aten.gru.input) and node.name not in kept:
            sequence = node.all_input_nodes[0]
            if shape_of(sequence) != shape_of(elsewhere[sequence.name]):
                name = f"aten.{op_name(node)}"
                raise ConversionError(
                    f"{name} cannot be resized: this format has no such operator, so it is written out step by step",
                    op=name,
                    shapes=[shape_of(sequence)],
                    module=module_path(node) or None,
                    next_step=f"let the application call the model once for each step, or {ONE_BY_ONE}",
                )


def check_sizes(runtime: Runtime, model: Path, emitted: Emitted, graph: Graph, *, inputs: Mapping[str, np.ndarray], compute: str) -> None:
    """Run a file at the ends of its ranges and between, beside the final graph.

    Args:
        runtime: Executes the format.
        model: The file.
        emitted: What the converter says it wrote.
        graph: What it wrote it from; nothing is done for one without open sizes.
        inputs: Samples of the typical size by input name, which are cut or repeated.
        compute: What the file's float operators compute in.

    Raises:
        ConversionError: The file does not run at a size, or answers something else than the graph predicts.
    """
    from edgekit.conversion.tolerance import expect  # noqa: PLC0415 - torch loads where it is needed
    from edgekit.resizing import resized  # noqa: PLC0415

    if not graph.open_sizes:
        return
    for sizes in track("checking other sizes", [s for s in tried(graph.open_sizes) if s != typical(graph.open_sizes)]):
        at = resized(graph, sizes)
        samples = {s.name: _fitted(inputs[s.name], s.shape) for s in at.inputs}
        outputs = {s.name: s.shape for s in at.outputs}
        there = replace(
            emitted,
            inputs=tuple(replace(s, shape=shape_at(s.name, s.shape, graph.open_sizes, sizes)) for s in emitted.inputs),
            outputs=tuple(replace(s, shape=outputs[s.name]) for s in emitted.outputs),
        )
        asked = request(model)
        asked = replace(asked, options={**asked.options, "batch": at.inputs[0].shape[0]})
        where = " with " + ", ".join(f"{o} = {size}" for o, size in zip(graph.open_sizes, sizes, strict=True))
        check_answers(runtime, asked, there, inputs=samples, expected=expect(at, samples, compute), where=where)


def _fitted(samples: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """One batch of samples, cut or repeated along every dimension to a shape."""
    for axis, size in enumerate(shape):
        samples = np.take(samples, np.arange(size) % samples.shape[axis], axis)
    return samples
