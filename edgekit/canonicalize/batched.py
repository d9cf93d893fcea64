"""Run a batch-1 graph on any batch.

Given: a graph traced for a batch of 1, whose reshapes and expands say ``[1, 32, 196]``.
Result: a copy that says ``[-1, 32, 196]``, expands the constants that meet the batch (class tokens, initial states),
    and is shown to compute on two samples what the original computes on each; or None where that is not so.

Calibration and verification use it for speed. It is a graph to run, not one to convert.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.canonicalize.rewriting import calls
from edgekit.graph import Graph, aten, constant_value, is_call, shape_of
from edgekit.tensors import TensorSpec

TOLERANCE = 1e-3
"""Relative. Matrix products of other sizes sum in another order; a wrong batch is off by far more."""


def batched(graph: Graph, samples: Sequence[tuple[Tensor, ...]] | None = None, *, tolerance: float = TOLERANCE) -> Graph | None:
    """A copy that takes any batch, or None where the graph mixes its samples.

    Args:
        graph: Traced for a batch of 1.
        samples: Two inputs of batch 1 to try it on; random ones by default. Real ones tell more.
        tolerance: Relative; wider for a graph that rounds, where sums in another order fall on the other side of a step.

    Returns:
        A graph whose specs have -1 for the batch.
    """
    if any(spec.shape[:1] != (1,) for spec in (*graph.inputs, *graph.outputs)):
        return None
    copy = graph.copy()
    _generalize(copy.module.graph)
    copy.module.recompile()
    result = replace(copy, inputs=_any_batch(graph.inputs), outputs=_any_batch(graph.outputs))
    return result if _agrees(graph, result, samples, tolerance) else None


def _any_batch(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    return tuple(replace(s, shape=(-1, *s.shape[1:])) for s in specs)


def _generalize(graph: fx.Graph) -> None:
    """Let the batch flow from the inputs on: calls that depend on one carry it in their first dimension."""
    carriers = {n for n in graph.nodes if n.op == "placeholder"}
    for node in list(graph.nodes):
        if node.op != "call_function" or not any(n in carriers for n in node.all_input_nodes):
            continue
        carriers.add(node)
        if is_call(node, aten.reshape.default, aten.expand.default) and node.args[1]:
            node.args = (node.args[0], [-1, *node.args[1][1:]])
        elif is_call(node, aten.cat.default):
            node.args = (_spread(node, node.args[0], carriers, 0), *node.args[1:])
        elif is_call(node, aten.lstm.input):
            node.args = (node.args[0], _spread(node, node.args[1], carriers, 1), *node.args[2:])
        elif is_call(node, aten.gru.input):
            node.args = (node.args[0], _spread(node, [node.args[1]], carriers, 1)[0], *node.args[2:])


def _spread(node: fx.Node, operands: Any, carriers: set[fx.Node], dim: int) -> list[fx.Node]:
    """Operands that do not carry the batch, expanded to it along `dim`; the batch is the first carrier's first size."""
    carrier = next(n for n in node.all_input_nodes if n in carriers)
    result = []
    for operand in operands:
        if operand not in carriers and shape_of(operand)[dim] == 1:
            with node.graph.inserting_before(node):
                size = node.graph.call_function(aten.sym_size.int, (carrier, 0))
                sizes = [-1] * dim + [size] + [-1] * (len(shape_of(operand)) - dim - 1)
                operand = node.graph.call_function(aten.expand.default, (operand, sizes))  # noqa: PLW2901
        result.append(operand)
    return result


def _agrees(graph: Graph, batched_graph: Graph, given: Sequence[tuple[Tensor, ...]] | None, tolerance: float) -> bool:
    """Whether two samples at once give what they give one by one."""
    random = torch.Generator().manual_seed(0)
    samples = [random_inputs(graph, random) for _ in range(2)] if given is None else given[:2]
    try:
        together = batched_graph(*[torch.cat(pair) for pair in zip(*samples, strict=True)])
    except (RuntimeError, IndexError):
        return False
    apart = [torch.cat(pair) for pair in zip(*(graph(*s) for s in samples), strict=True)]
    return all(_close(a, b, tolerance) for a, b in zip(together, apart, strict=True))


def random_inputs(graph: Graph, random: torch.Generator) -> tuple[Tensor, ...]:
    """Normal floats, and ids that every embedding table has."""
    bound = min((len(v) for v in _tables(graph.module.graph)), default=2)
    return tuple(
        torch.randint(0, bound, s.shape, generator=random).to(getattr(torch, s.dtype)) if s.dtype != "float32"
        else torch.randn(s.shape, generator=random)
        for s in graph.inputs
    )  # fmt: skip


def _tables(graph: fx.Graph) -> list[Tensor]:
    """The embedding tables, whose length bounds ids."""
    tables = (constant_value(n.args[0]) for n in calls(graph, {aten.embedding.default}))
    return [t for t in tables if t is not None]


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """By root mean square: in a quantized graph a rounding may fall the other way here and there."""
    if a.shape != b.shape:
        return False
    a, b = a.double().nan_to_num(), b.double().nan_to_num()
    return float((a - b).square().mean()) <= tolerance**2 * max(float(b.square().mean()), 1e-24)
