"""How channels go through layers with weights, and through products of values."""

from __future__ import annotations

import numpy as np
from torch import fx

from edgekit.compress.channels.partition import Labels
from edgekit.compress.channels.trace import CHANNELS, INPUTS, OUTPUTS, Axes, Trace, fixed, fixed_axes
from edgekit.graph import argument, op_name, shape_of

SLIDES = "a convolution slides over it"
HIDDEN = "the hidden size of a recurrent layer"
SCORES = "attention runs over it"


def linear(trace: Trace, node: fx.Node) -> Axes:
    """Reads the last dimension and writes one of its own."""
    x, weight = argument(node, "input"), argument(node, "weight")
    data = trace.axes(x, node)
    trace.join(weight, 1, data[-1], INPUTS, node)
    written = trace.made(weight, 0, OUTPUTS, node)
    _bias(trace, node, written)
    return (*data[:-1], written)


def embedding(trace: Trace, node: fx.Node) -> Axes:
    """Rows of a table are its inputs, all of them needed; its columns are written."""
    weight, indices = argument(node, "weight"), argument(node, "indices")
    trace.freeze(trace.made(weight, 0, INPUTS, node), "an index chooses among them", node)
    return (*fixed_axes(shape_of(indices)), trace.made(weight, 1, OUTPUTS, node))


def convolution(trace: Trace, node: fx.Node) -> Axes:
    """Reads and writes channels: all of them, those of a group, or each one by itself."""
    data = trace.axes(argument(node, "input"), node)
    trace.freeze_all(data[2:], SLIDES, node)
    groups = int(argument(node, "groups"))
    if groups == 1:
        written = _dense(trace, node, data[1])
    elif groups == len(data[1]):
        written = _depthwise(trace, node, data[1])
    else:
        written = _grouped(trace, node, data[1], groups)
    _bias(trace, node, written)
    return (data[0], written, *fixed_axes(shape_of(node)[2:]))


def _dense(trace: Trace, node: fx.Node, read: Labels) -> Labels:
    weight = argument(node, "weight")
    inner, outer = (0, 1) if argument(node, "transposed") else (1, 0)
    trace.join(weight, inner, read, INPUTS, node)
    return trace.made(weight, outer, OUTPUTS, node)


def _depthwise(trace: Trace, node: fx.Node, read: Labels) -> Labels:
    """Each channel by itself; with a multiplier, each makes several."""
    weight = argument(node, "weight")
    written = np.repeat(read, shape_of(node)[1] // len(read))
    trace.join(weight, 0, read if argument(node, "transposed") else written, CHANNELS, node)
    if argument(node, "transposed"):
        trace.freeze(trace.made(weight, 1, CHANNELS, node), "a depthwise convolution makes them of one channel", node)
    return written


def _grouped(trace: Trace, node: fx.Node, read: Labels, groups: int) -> Labels:
    """All groups keep one size, so channels of the same place in every group go together."""
    weight = argument(node, "weight")
    row = trace.tie_rows(read.reshape(groups, -1).T, node)
    if argument(node, "transposed"):
        trace.join(weight, 0, read, INPUTS, node)
        return np.tile(trace.made(weight, 1, OUTPUTS, node), groups)
    trace.join(weight, 1, row, INPUTS, node)
    written = trace.made(weight, 0, OUTPUTS, node)
    trace.tie_rows(written.reshape(groups, -1).T, node)
    return written


def _bias(trace: Trace, node: fx.Node, written: Labels) -> None:
    bias = argument(node, "bias")
    if bias is not None:
        trace.join(bias, 0, written, OUTPUTS, node)


def matmul(trace: Trace, node: fx.Node) -> Axes:
    """The dimension that is summed over goes from both operands alike."""
    a, b = argument(node, "self"), argument(node, "other")
    left, right = _operand(trace, a, -1, node), _operand(trace, b, -2, node)
    if min(len(left), len(right)) < 2:
        trace.freeze_all((*left, *right), "a vector is multiplied", node)
        return fixed_axes(shape_of(node))
    trace.tie(left[-1], right[-2], node)
    return (*broadcast(trace, node, (left[:-2], right[:-2]), shape_of(node)[:-2]), left[-2], right[-1])


def _operand(trace: Trace, operand: fx.Node, summed: int, node: fx.Node) -> Axes:
    """Labels of a factor; a constant one is a weight."""
    if operand.op != "get_attr":
        return trace.axes(operand, node)
    rank = len(shape_of(operand))
    return tuple(trace.made(operand, axis, INPUTS if axis == rank + summed else OUTPUTS, node) for axis in range(rank))


def broadcast(trace: Trace, node: fx.Node, operands: tuple[Axes, ...], shape: tuple[int, ...]) -> Axes:
    """Unite the dimensions of operands that are broadcast to `shape`."""
    result = []
    for back in range(-len(shape), 0):
        meeting = [axes[back] for axes in operands if len(axes) >= -back and len(axes[back]) == shape[back]]
        for labels in meeting[1:]:
            trace.tie(meeting[0], labels, node)
        result.append(meeting[0])
    return tuple(result)


def attention(trace: Trace, node: fx.Node) -> Axes:
    """Heads, (batch, heads, places, width): whole heads go from queries, keys and values alike."""
    query, key, value = (trace.axes(argument(node, name), node) for name in ("query", "key", "value"))
    mask = argument(node, "attn_mask")
    trace.freeze_all((query[-2], key[-2], value[-2]), SCORES, node)
    if argument(node, "enable_gqa"):
        trace.freeze_all((query[-3], key[-3], value[-3]), "several queries share a head", node)
    trace.tie(query[-1], key[-1], node)
    heads = broadcast(trace, node, (query[:-2], key[:-2], value[:-2]), shape_of(node)[:-2])
    if mask is not None:
        seen = trace.axes(mask, node)
        trace.freeze_all(seen[-2:], SCORES, node)
        broadcast(trace, node, (heads, seen[:-2]), shape_of(node)[:-2])
    return (*heads, query[-2], value[-1])


def recurrent(trace: Trace, node: fx.Node) -> tuple[Axes, ...]:
    """Reads features of its input; its own hidden size stays."""
    data, params = trace.axes(argument(node, "input"), node), argument(node, "params")
    trace.freeze_all(data[:-1], "a recurrent layer runs over it", node)
    for state in _states(node):
        trace.freeze_all(trace.axes(state, node), HIDDEN, node)
    hidden = trace.partition.fresh(shape_of_result(node)[-1])
    trace.freeze(hidden, HIDDEN, node)
    directions = 2 if argument(node, "bidirectional") else 1
    each = len(params) // (directions * int(argument(node, "num_layers")))
    for index, param in enumerate(params):
        first = index < directions * each and index % each == 0
        for axis, size in enumerate(shape_of(param)):
            if first and axis == 1:
                trace.join(param, axis, data[-1], INPUTS, node)
            else:
                trace.join(param, axis, fixed(size), OUTPUTS, node)
    rest = tuple(fixed_axes(shape) for shape in _shapes(node)[1:])
    return ((*fixed_axes(shape_of_result(node)[:-1]), hidden), *rest)


def _states(node: fx.Node) -> list[fx.Node]:
    state = argument(node, "hx")
    return list(state) if op_name(node) == "lstm" else [state]


def _shapes(node: fx.Node) -> list[tuple[int, ...]]:
    return [tuple(value.shape) for value in node.meta["val"]]


def shape_of_result(node: fx.Node) -> tuple[int, ...]:
    """Shape of the first of a call's results."""
    return _shapes(node)[0]
