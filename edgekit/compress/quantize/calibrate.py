"""Runs the float graph on the samples and shows observers the values that need a grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from edgekit.compress.quantize.observers import Observer
from edgekit.data import Samples
from edgekit.errors import DataError
from edgekit.graph import Graph
from edgekit.progress import track


def calibrate(graph: Graph, samples: Samples, observers: Mapping[fx.Node, Observer], batch_size: int) -> None:
    """Run all samples through the graph.

    Args:
        graph: Float, of batch 1 or any other.
        samples: Model-ready inputs.
        observers: Node of the graph to what watches it.
        batch_size: Samples run at once where the graph allows it; the result does not depend on it.

    Raises:
        DataError: The samples do not fit the graph's inputs.
    """
    by_name = {node.name: seen for node, seen in observers.items()}
    with torch.inference_mode():
        for run, inputs, count in batches(graph, samples, batch_size):
            _Recorder(run.module, by_name, count).run(*inputs)


def batches(graph: Graph, samples: Samples, batch_size: int) -> Iterator[tuple[Graph, list[Tensor], int]]:
    """The graph to run, its inputs, and how many samples they hold, until all samples are used."""
    own = graph.inputs[0].shape[0] if graph.inputs and graph.inputs[0].shape else 1
    if len(samples) == 0 or set(samples.inputs) != {spec.name for spec in graph.inputs}:
        got = f"{len(samples)} samples of {sorted(samples.inputs)}"
        raise DataError(f"calibration data do not fit the model: got {got}", accepted=[s.name for s in graph.inputs])
    tensors = [torch.from_numpy(np.ascontiguousarray(samples.inputs[spec.name])) for spec in graph.inputs]
    wide, size = _widened(graph, max(batch_size, own), own)
    total, start = len(samples), 0
    for step in track("calibrating", _steps(total, size, own)):
        rows = [torch.arange(start, start + step).remainder(total) for _ in tensors]
        yield (wide if step == size else graph), [t[r] for t, r in zip(tensors, rows, strict=True)], step
        start += step


def _widened(graph: Graph, size: int, own: int) -> tuple[Graph, int]:
    return graph, own


def _steps(total: int, size: int, own: int) -> list[int]:
    """Batch sizes that cover `total`: full ones, then the graph's own for the rest."""
    full, rest = divmod(total, size)
    return [size] * full + [own] * -(-rest // own)


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, observers: Mapping[str, Observer], count: int) -> None:
        super().__init__(module)
        self._observers, self._count = observers, count

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if seen := self._observers.get(n.name):
            rows = self._count if value.dim() and value.shape[0] % self._count == 0 else 1
            seen.add(value.reshape(rows, -1))
        return value
