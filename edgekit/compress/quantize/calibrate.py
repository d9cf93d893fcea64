"""Runs the float graph on the samples and shows observers the values that need a grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.canonicalize.batched import TOLERANCE, batched
from edgekit.compress.quantize import sensitivity
from edgekit.compress.quantize.observers import Observer
from edgekit.compress.roundings import is_rounding
from edgekit.data import Samples
from edgekit.data.checking import check_samples
from edgekit.graph import Graph
from edgekit.progress import track

ROUNDED = 0.1
"""How far two samples at once may be from one by one in a graph that rounds, where a last bit may decide a step."""


def calibrate(graph: Graph, samples: Samples, observers: Mapping[fx.Node, Observer], batch_size: int, *, weighing: bool = False) -> None:
    """Run all samples through the graph.

    Args:
        graph: Float, of batch 1 or any other.
        samples: Model-ready inputs.
        observers: Node of the graph to what watches it.
        batch_size: Samples run at once where the graph allows it; the result does not depend on it.
        weighing: Whether observers are also told how strongly the outputs react to each element.

    Raises:
        DataError: The samples do not fit the graph's inputs.
    """
    by_name = {node.name: seen for node, seen in observers.items()}
    with torch.inference_mode():
        for run, inputs, count in batches(graph, samples, batch_size):
            _Recorder(run.module, by_name, count).run(*inputs)
    if weighing:
        _weigh(graph, samples, by_name)


def _weigh(graph: Graph, samples: Samples, observers: Mapping[str, Observer]) -> None:
    """Run some of the samples forth and back."""
    some, batch_size = sensitivity.affordable(graph, samples)
    first, names = 0, frozenset(observers)
    for run, inputs, count in batches(graph, some, batch_size):
        for name, (value, weights) in sensitivity.Reactions(run, names).of(inputs, first, count).items():
            rows = by_sample(weights, count)
            share = rows / rows.mean(1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)  # each sample counts alike
            observers[name].histogram.weigh(by_sample(value, count), share)
        first += count


def batches(graph: Graph, samples: Samples, batch_size: int) -> Iterator[tuple[Graph, list[Tensor], int]]:
    """The graph to run, its inputs, and how many samples they hold, until all samples are used.

    Raises:
        DataError: The samples do not fit the graph's inputs.
    """
    check_samples(samples, graph.inputs)
    tensors = [torch.from_numpy(samples.inputs[spec.name]) for spec in graph.inputs]
    wide, size = _widened(graph, tensors, batch_size)
    starts = range(0, len(samples), size)
    for start in track("running samples", starts):
        rows = torch.arange(start, start + size)
        # A graph of a fixed batch takes samples again to fill its last one.
        rows = rows.remainder(len(samples)) if wide is graph else rows[rows < len(samples)]
        yield wide, [t[rows] for t in tensors], len(rows)


def _widened(graph: Graph, tensors: list[Tensor], batch_size: int) -> tuple[Graph, int]:
    """A graph that takes several samples at once, and how many; the graph itself where that would change its results."""
    own = graph.inputs[0].shape[0]
    if own > 1 or batch_size == 1 or len(tensors[0]) == 1:
        return graph, own
    tolerance = ROUNDED if any(is_rounding(n) for n in graph.nodes) else TOLERANCE
    wide = batched(graph, [tuple(t[i : i + 1] for t in tensors) for i in range(2)], tolerance=tolerance)
    return (graph, 1) if wide is None else (wide, batch_size)


def by_sample(value: Tensor, count: int) -> Tensor:
    """A value as (samples, everything else), in the order it lies in memory: a view for any dense layout."""
    order = sorted(range(value.dim()), key=value.stride, reverse=True)
    rows = count if value.dim() and value.shape[0] % count == 0 and order[0] == 0 else 1
    return value.permute(order).reshape(rows, -1)


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, observers: Mapping[str, Observer], count: int) -> None:
        super().__init__(module)
        self._observers, self._count = observers, count

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if seen := self._observers.get(n.name):
            seen.add(by_sample(value, self._count))
        return value
