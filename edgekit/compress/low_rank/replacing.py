"""Writes the factors of a layer into the graph, in the place of the layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx

from edgekit.compress.low_rank.kinds import Stages
from edgekit.graph import Graph, argument, aten, call, constant, finish, op_name, substitute

ALONG: dict[str, tuple[tuple[int, ...], ...]] = {"svd": ((0, 1), ()), "spatial": ((0,), (1,)), "tucker": ((), (0, 1), ())}
"""Of a convolution's stages, the spatial dimensions whose stride, padding and dilation each takes over."""


def with_factors(graph: Graph, stages: Mapping[str, tuple[str, Stages]], biases: Mapping[str, Tensor]) -> Graph:
    """The graph with layers in several stages.

    Args:
        graph: Float.
        stages: By the layer's call, the kind and the weights in the order they are applied.
        biases: By the layer's call, the bias where it changes.
    """
    result = graph.copy()
    for node in result.nodes:
        if node.name in stages:
            _replace(node, *stages[node.name], biases.get(node.name))
    finish(result.module)
    return result


def _replace(node: fx.Node, kind: str, weights: Stages, bias: Tensor | None) -> None:
    last: Any = argument(node, "bias")
    if bias is not None:
        last = constant(node, bias, f"{node.name}_bias")
    value: Any = node.args[0]
    for index, weight in enumerate(weights):
        stored = constant(node, weight, f"{node.name}_factor{index}")
        given = last if index == len(weights) - 1 else None
        if op_name(node) == "linear":
            value = call(node, aten.linear.default, value, stored, given, like=node)
        else:
            value = call(node, aten.convolution.default, value, stored, given, *_options(node, kind, index), like=node)
    substitute(node, value)


def _options(node: fx.Node, kind: str, index: int) -> tuple[Any, ...]:
    """Stride, padding, dilation, transposed, output padding and groups of one stage."""
    sizes = len(argument(node, "stride"))
    taken = [d for d in ALONG[kind][index] if d < sizes]

    def of(name: str, neutral: int) -> list[int]:
        return [int(v) if d in taken else neutral for d, v in enumerate(argument(node, name))]

    return of("stride", 1), of("padding", 0), of("dilation", 1), False, [0] * sizes, 1
