"""What each kind and rank of a layer's factors costs, and what the outputs lose by it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from edgekit.compress.cluster.moments import moments
from edgekit.compress.cluster.reconstruction import Seen, reconstruct
from edgekit.compress.costs import macs_of
from edgekit.compress.low_rank.kinds import KINDS, kinds_of
from edgekit.compress.quantize.calibrate import batches
from edgekit.compress.quantize.sensitivity import Reactions, affordable
from edgekit.data import Samples
from edgekit.graph import Graph, argument, constant_value, op_name, shape_of

RANKS = 16
"""Ranks tried of each kind, at most."""


@dataclass(frozen=True)
class Option:
    """One way to factorize a layer, or to leave it.

    Attributes:
        kind: A key of `KINDS`; None for the layer as it is.
        rank: Of the factors.
        parameters: Elements of the weights.
        macs: Multiply-accumulates of a run.
        lost: Share of the outputs' squares (of the weight's, without data) that is lost, 0 to 1.
        loss: What the model's outputs lose.
    """

    kind: str | None
    rank: int
    parameters: int
    macs: int
    lost: float = 0.0
    loss: float = 0.0


def weight_of(node: fx.Node) -> Tensor:
    """The weight of a layer."""
    weight = constant_value(argument(node, "weight"))
    assert weight is not None
    return weight


def measured(
    graph: Graph, layers: Sequence[fx.Node], kinds: Sequence[str], alignment: int, samples: Samples | None
) -> dict[str, list[Option]]:
    """The options of each layer by its call's name, that of leaving it last; smaller and faster than that are all.

    Args:
        graph: Float.
        layers: Of the graph.
        kinds: Keys of `KINDS` to try.
        alignment: Ranks are multiples of this.
        samples: What losses are measured on; None for those of the weights alone.
    """
    if samples is None:
        return {n.name: _options(n, kinds, alignment, None, None) for n in layers}
    weighing, found = _reactions(graph, layers, samples), dict[str, list[Option]]()

    def measure(node: fx.Node, seen: Seen) -> Tensor:
        found[node.name] = _options(node, kinds, alignment, moments(node, seen)[1][0], weighing[node.name])
        return weight_of(node)

    reconstruct(graph, samples, {n.name: measure for n in layers}, "trying ranks")
    return found


def _options(node: fx.Node, kinds: Sequence[str], alignment: int, squares: Tensor | None, weighing: Tensor | None) -> list[Option]:
    weight = weight_of(node)
    rows = weight.flatten(1)
    whole = Option(None, 0, weight.numel(), macs_of(node))
    bias = len(rows) if squares is not None and argument(node, "bias") is None else 0  # a fit gives the layer one
    total = _lost(rows, squares, None)
    found = []
    for kind in kinds_of(weight) if total > 0 else ():
        if kind not in kinds:
            continue
        splitter = KINDS[kind](weight, squares)
        for rank in _ranks(len(rows), alignment):
            split = splitter(rank)
            parameters, macs = sum(split.parameters) + bias, _macs(node, kind, split.parameters)
            if parameters >= whole.parameters or macs >= whole.macs:
                break
            error = rows - split.closed(rows, squares)[1]
            lost = _lost(error, squares, None) / total
            found.append(Option(kind, rank, parameters, macs, lost, lost if weighing is None else _lost(error, squares, weighing)))
    return [*found, whole]


def _ranks(rows: int, alignment: int) -> list[int]:
    """Multiples of the alignment below the number of outputs, at even distances."""
    every = range(alignment, rows, alignment)
    return list(every[:: math.ceil(len(every) / RANKS)]) if every else []


def _lost(error: Tensor, squares: Tensor | None, weighing: Tensor | None) -> float:
    """Mean square of what an error of the weight does to each output, summed with weights."""
    wide = error.double()
    of_outputs = ((wide if squares is None else wide @ squares) * wide).sum(1)
    return float((of_outputs if weighing is None else of_outputs * weighing).sum())


def _macs(node: fx.Node, kind: str, parameters: Sequence[int]) -> int:
    """Each stage multiplies its weight once a position of what it gives."""
    out = shape_of(node)
    if op_name(node) == "linear":
        return math.prod(out[:-1]) * sum(parameters)
    given = shape_of(argument(node, "input"))
    positions, before = math.prod(out[2:]), math.prod(given[2:])
    stages = {"svd": (positions, positions), "spatial": (out[2] * given[-1], positions), "tucker": (before, positions, positions)}
    return out[0] * sum(p * count for p, count in zip(parameters, stages[kind], strict=True))


def _reactions(graph: Graph, layers: Sequence[fx.Node], samples: Samples) -> Mapping[str, Tensor]:
    """By layer, what a squared error of each of its outputs adds to that of the model's, summed over positions; shape (rows,)."""
    some, size = affordable(graph, samples)
    names = {n.name: 1 if op_name(n) == "convolution" else len(shape_of(n)) - 1 for n in layers}
    sums = {n.name: torch.zeros(len(weight_of(n)), dtype=torch.float64) for n in layers}
    first = 0
    for run, inputs, count in batches(graph, some, size):
        for name, (_, squared) in Reactions(run, frozenset(names)).of(inputs, first, count).items():
            sums[name] += squared.movedim(names[name], 0).flatten(1).double().sum(1)
        first += count
    return {name: total / first for name, total in sums.items()}
