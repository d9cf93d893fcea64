"""The operators channels are followed through, and the walk over a graph."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch import Tensor, fx

from edgekit.canonicalize.vocabulary import POINTWISE
from edgekit.compress.channels import passing, products, shapes
from edgekit.compress.channels.trace import Axes, Trace, fixed_axes
from edgekit.graph import Graph, op_name, shape_of

Rule: TypeAlias = Callable[[Trace, fx.Node], Any]
"""Given a call, unites the labels of its operands and returns those of its result, or of each of its results."""

RULES: Mapping[str, Rule] = {
    "linear": products.linear, "convolution": products.convolution, "embedding": products.embedding, "matmul": products.matmul,
    "scaled_dot_product_attention": products.attention, "lstm": products.recurrent, "gru": products.recurrent,
    "reshape": shapes.reshape, "permute": shapes.permute, "expand": shapes.expand, "repeat": shapes.repeat, "cat": shapes.cat,
    "slice": shapes.cut, "flip": shapes.flip, "pad": shapes.pad, "index_select": shapes.index_select, "gather": shapes.gather,
    "pixel_shuffle": shapes.pixel_shuffle, "pixel_unshuffle": shapes.pixel_unshuffle, "glu": shapes.glu,
    "layer_norm": passing.layer_norm, "rms_norm": passing.layer_norm, "group_norm": passing.group_norm, "prelu": passing.prelu,
    "softmax": passing.along, "log_softmax": passing.along, "cumsum": passing.along, "argmax": passing.along, "topk": passing.along,
    "mean": passing.reduction, "sum": passing.reduction, "amax": passing.reduction, "amin": passing.reduction,
    "prod": passing.reduction, "avg_pool2d": passing.spatial, "max_pool2d": passing.spatial,
    "upsample_nearest2d": passing.spatial, "upsample_bilinear2d": passing.spatial,
}  # fmt: skip
"""By operator. Those that map elements one by one need no rule of their own."""


def traced(graph: Graph, choices: Mapping[tuple[str, int], int]) -> Trace:
    """Walk over a canonical graph.

    Args:
        graph: What canonicalization gives.
        choices: Which part of a dimension that is taken apart carries its labels (`Trace.choices`).
    """
    trace = Trace(dict(choices))
    for node in graph.nodes:
        if node.op == "placeholder":
            trace.values[node.name] = fixed_axes(shape_of(node))
        elif node.op == "output":
            for value in node.all_input_nodes:
                trace.freeze_all(trace.axes(value, node), "an output of the model", node)
        elif node.op == "call_function":
            trace.values[node.name] = _rule(node)(trace, node)
    return trace


def _rule(node: fx.Node) -> Rule:
    if node.target is operator.getitem:
        return passing.part
    return passing.elementwise if node.target in POINTWISE else RULES.get(op_name(node), _unknown)


def _unknown(trace: Trace, node: fx.Node) -> Axes | tuple[Axes, ...]:
    """What has no rule keeps all channels it meets."""
    for operand in node.all_input_nodes:
        known = () if operand.op == "get_attr" else trace.values[operand.name]
        for axes in known if known and isinstance(known[0], tuple) else (known,):
            trace.freeze_all(axes, f"channels are not followed through {op_name(node)}", node)  # type: ignore[arg-type]
        for axis in range(len(shape_of(operand)) if operand.op == "get_attr" else 0):
            trace.freeze(trace.made(operand, axis, "channels", node), f"channels are not followed through {op_name(node)}", node)
    value = node.meta["val"]
    return fixed_axes(value.shape) if isinstance(value, Tensor) else tuple(fixed_axes(v.shape) for v in value)
