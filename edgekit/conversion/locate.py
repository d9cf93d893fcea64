"""Finding the operator at which a written file goes wrong, where the runtime does not say.

The graph is cut after one of its nodes, written and run; bisection over the nodes finds the first cut that fails. It costs a few
seconds and runs only when a conversion has failed anyway.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import fx

from edgekit.conversion.check import check
from edgekit.conversion.tolerance import expect
from edgekit.errors import ConversionError, EdgekitError
from edgekit.graph import Graph, finish, grid_of, is_call, module_path, op_name, shape_of
from edgekit.plugins import Converter, Encoding, Runtime
from edgekit.progress import report
from edgekit.tensors import TensorSpec

TIMEOUT = 60.0


def located(
    error: ConversionError,
    graph: Graph,
    converter: Converter,
    runtime: Runtime,
    inputs: Mapping[str, np.ndarray],
    *,
    encoding: Encoding,
) -> ConversionError:
    """The same error, with the operator, its module and its shapes, if a cut before the whole reproduces it.

    Args:
        error: What is wrong with the whole file.
        graph: What was written.
        converter: By which it was.
        runtime: Runs the files.
        inputs: To run them on.
        encoding: How the file was written; its cuts have floats in and out, and no labels.
    """
    plain = replace(encoding, input_dtype="float32", output_dtype="float32", labels=None)
    node = first_failing(graph, converter, runtime, inputs, plain)
    if node is None:
        return error
    shapes = [shape_of(n) for n in node.all_input_nodes if isinstance(n.meta.get("val"), torch.Tensor)]
    message = f"{error.message}; it begins at this operator"
    op = f"aten.{op_name(node)}"
    return ConversionError(
        message, op=op, shapes=shapes, module=module_path(node) or None, accepted=error.accepted, next_step=error.next_step
    )


def first_failing(
    graph: Graph, converter: Converter, runtime: Runtime, inputs: Mapping[str, np.ndarray], encoding: Encoding
) -> fx.Node | None:
    """The first operator whose result a file does not compute as the graph does; None if every cut is right."""
    cuts = _cuts(graph)
    low, high = 0, len(cuts)
    while low < high:
        report("looking for the operator at fault", low, len(cuts))
        middle = (low + high) // 2
        if _fails(_cut(graph, cuts[middle]), converter, runtime, inputs, encoding):
            high = middle
        else:
            low = middle + 1
    if low == len(cuts):
        return None
    node = cuts[low]
    source = node.args[0]
    return source if grid_of(node) is not None and isinstance(source, fx.Node) and is_call(source) else node


def _cuts(graph: Graph) -> list[fx.Node]:
    """Nodes after which the graph can end: those with a grid where there are any, else all that make one float tensor."""
    live: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or any(n in live for n in node.all_input_nodes):
            live.add(node)
    calls = [n for n in graph.nodes if n in live and is_call(n) and isinstance(n.meta.get("val"), torch.Tensor)]
    rounded = [n for n in calls if grid_of(n) is not None and is_call(n.args[0])]
    return rounded or [n for n in calls if n.meta["val"].is_floating_point()]


def _cut(graph: Graph, after: fx.Node) -> Graph:
    """The graph up to a node, which becomes its only output."""
    result = graph.copy()
    nodes = {n.name: n for n in result.nodes}
    (end,) = [n for n in result.nodes if n.op == "output"]
    end.args = ((nodes[after.name],),)
    finish(result.module)
    return replace(result, outputs=(TensorSpec("cut", shape_of(after), "float32"),))


def _fails(graph: Graph, converter: Converter, runtime: Runtime, inputs: Mapping[str, np.ndarray], encoding: Encoding) -> bool:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        folder = Path(name)
        try:
            emitted = converter.emit(graph, folder, encoding)
        except EdgekitError:
            return False
        try:
            expected = expect(graph, inputs, encoding.compute, getattr(runtime, "convolution_error", 0.0))
            check(runtime, folder / emitted.model_file, emitted, encoding, inputs=inputs, expected=expected, timeout=TIMEOUT)
        except EdgekitError:
            return True
    return False
