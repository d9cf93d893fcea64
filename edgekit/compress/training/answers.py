"""What a network in training answers: the scores behind its outputs, and values inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgekit.canonicalize.batched import TOLERANCE, batched
from edgekit.canonicalize.vocabulary import DECIDING
from edgekit.compress.overrides import check_modules, matches
from edgekit.compress.roundings import is_rounding, unrounded
from edgekit.graph import Graph, is_call, module_path, op_name, shape_of

ROUNDED = 0.05
"""Relative tolerance between a batch and its samples in a graph that rounds: sums in another order fall on the other side of steps."""


@dataclass(frozen=True)
class Answers:
    """What a network answers to a batch.

    Attributes:
        scores: One tensor an output, batch first: logits where the output is a softmax or a sigmoid of them.
        features: The values inside that were asked for, batch first.
    """

    scores: tuple[Tensor, ...]
    features: tuple[Tensor, ...] = ()

    def rows(self, which: Tensor | slice) -> Answers:
        """The answers to some of the samples."""
        return Answers(tuple(t[which] for t in self.scores), tuple(t[which] for t in self.features))

    def to(self, device: torch.device) -> Answers:
        """The same on another device."""
        return Answers(tuple(t.to(device) for t in self.scores), tuple(t.to(device) for t in self.features))

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """The answers to several batches as one."""
        if len(parts) == 1:
            return parts[0]
        scores, features = ([torch.cat(tensors) for tensors in zip(*lists, strict=True)] for lists in _columns(parts))
        return cls(tuple(scores), tuple(features))


def _columns(parts: Sequence[Answers]) -> tuple[list[tuple[Tensor, ...]], list[tuple[Tensor, ...]]]:
    return [p.scores for p in parts], [p.features for p in parts]


class Network(nn.Module):
    """A graph that takes any number of samples and gives `Answers`.

    Attributes:
        module: A copy of the graph's, to edit; its node names are the graph's.
        batch: Samples it takes at once, where it takes no others; None for any number.
        decided: By output, the operator of `DECIDING` that makes it of the scores, or None.
    """

    def __init__(self, graph: Graph, probe: Sequence[Tensor], features: Sequence[str] = ()) -> None:
        """Prepare a copy of the graph.

        Args:
            graph: Any.
            probe: Inputs of a few samples, to see whether samples can be run together.
            features: Module paths whose last values are wanted.

        Raises:
            UsageError: A module path does not exist.
        """
        super().__init__()
        wide = _any_batch(graph, probe)
        self.batch = None if wide is not None else graph.inputs[0].shape[0]
        self.module = (graph if wide is None else wide).copy().module
        decisions = _answering(self.module, [_value_of(graph, path).name for path in features])
        self.decided = tuple(None if d is None else op_name(d) for d in decisions)
        self._deciding = tuple(None if d is None else partial(_decide, d.target, d.args[1:], d.kwargs) for d in decisions)
        self.module.graph.eliminate_dead_code()
        self.module.recompile()

    def forward(self, inputs: Sequence[Tensor]) -> Answers:
        """The answers to a batch. Where the graph takes so many only, samples are repeated to fill the last run."""
        count, size, scores = len(inputs[0]), self.batch or len(inputs[0]), len(self.decided)
        parts = []
        for start in range(0, count, size):
            rows = torch.arange(start, start + size, device=inputs[0].device).remainder(count)
            given = self.module(*(inputs if size == count else [t[rows] for t in inputs]))
            parts.append(Answers(tuple(given[:scores]), tuple(given[scores:])))
        joined = Answers.joined(parts)
        return joined if count % size == 0 else joined.rows(slice(count))

    def outputs(self, answers: Answers) -> tuple[Tensor, ...]:
        """The outputs that answers stand for, as the graph gives them: probabilities, where it ends in a softmax or a sigmoid."""
        return tuple(score if how is None else how(score) for score, how in zip(answers.scores, self._deciding, strict=True))


def _decide(target: Any, rest: tuple[Any, ...], kwargs: dict[str, Any], scores: Tensor) -> Tensor:
    outputs: Tensor = target(scores, *rest, **kwargs)
    return outputs


def _any_batch(graph: Graph, probe: Sequence[Tensor]) -> Graph | None:
    rounds = any(is_rounding(n) for n in graph.nodes)
    last = len(probe[0]) - 1
    samples = [tuple(t[min(i, last)].unsqueeze(0) for t in probe) for i in range(2)]
    return batched(graph, samples, tolerance=ROUNDED if rounds else TOLERANCE)


def _answering(module: fx.GraphModule, features: Sequence[str]) -> tuple[fx.Node | None, ...]:
    """Make a module give out scores, then features; returns what made outputs of the scores, which nothing reads any more."""
    by_name = {n.name: n for n in module.graph.nodes}
    output = next(n for n in reversed(module.graph.nodes) if n.op == "output")
    given = output.args[0] if isinstance(output.args[0], (tuple, list)) else (output.args[0],)
    last = [unrounded(node) for node in given]
    decisions = tuple(n if is_call(n) and op_name(n) in DECIDING else None for n in last)
    scores = [node if d is None else d.args[0] for node, d in zip(given, decisions, strict=True)]
    output.args = ((*scores, *(by_name[name] for name in features)),)
    return decisions


def _value_of(graph: Graph, path: str) -> fx.Node:
    """The last value a module computes.

    Raises:
        UsageError: There is no such module.
    """
    check_modules(graph, [path], "features")
    return [n for n in graph.nodes if is_call(n) and isinstance(n.meta.get("val"), Tensor) and matches(module_path(n), path)][-1]


def feature_shapes(graph: Graph, paths: Sequence[str]) -> list[tuple[int, ...]]:
    """Shapes of the values of some modules, at the graph's own batch.

    Raises:
        UsageError: There is no such module.
    """
    return [shape_of(_value_of(graph, path)) for path in paths]
