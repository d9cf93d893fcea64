"""How channels go through elementwise operators, reductions, normalizations and pooling."""

from __future__ import annotations

import numpy as np
from torch import Tensor, fx

from edgekit.compress.channels.products import broadcast
from edgekit.compress.channels.trace import CHANNELS, Axes, Trace, fixed, fixed_axes
from edgekit.graph import argument, op_name, shape_of


def elementwise(trace: Trace, node: fx.Node) -> Axes:
    """Operands that are broadcast to one shape."""
    return broadcast(trace, node, tuple(trace.axes(x, node) for x in node.all_input_nodes), shape_of(node))


def part(trace: Trace, node: fx.Node) -> Axes:
    """One of several results."""
    producer, index = node.args
    return trace.values[producer.name][index]  # type: ignore[union-attr, index, return-value]


def along(trace: Trace, node: fx.Node) -> Axes | tuple[Axes, ...]:
    """Computes along a dimension, which stays (softmax, cumulated sums, the largest)."""
    axes = list(trace.axes(node.all_input_nodes[0], node))
    dim = argument(node, "dim")
    trace.freeze_all(axes if dim is None else [axes[dim]], f"{op_name(node)} runs over it", node)
    value = node.meta["val"]
    if isinstance(value, Tensor) and len(value.shape) != len(axes):
        return fixed_axes(value.shape) if dim is None else tuple(np.delete(np.array(axes, object), dim))
    sizes = [tuple(v.shape) for v in ([value] if isinstance(value, Tensor) else value)]
    if dim is not None and sizes[0][dim] != len(axes[dim]):
        axes[dim] = fixed(sizes[0][dim])
    return tuple(axes) if isinstance(value, Tensor) else tuple(tuple(axes) for _ in value)


def reduction(trace: Trace, node: fx.Node) -> Axes:
    """Dimensions that are reduced stay: each element counts."""
    axes = trace.axes(argument(node, "self"), node)
    dims = argument(node, "dim")
    chosen = range(len(axes)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    reduced = {dim % len(axes) for dim in chosen}
    trace.freeze_all([axes[dim] for dim in reduced], f"{op_name(node)} runs over it", node)
    if argument(node, "keepdim"):
        return tuple(fixed(1) if dim in reduced else labels for dim, labels in enumerate(axes))
    return tuple(labels for dim, labels in enumerate(axes) if dim not in reduced)


def layer_norm(trace: Trace, node: fx.Node) -> Axes:
    """Statistics over the last dimensions: channels can go, and what is left has other statistics."""
    axes = trace.axes(argument(node, "input"), node)
    last = len(axes) - len(argument(node, "normalized_shape"))
    for name in ("weight", "bias") if op_name(node) == "layer_norm" else ("weight",):
        scale = argument(node, name)
        for dim in range(last, len(axes)) if scale is not None else ():
            trace.join(scale, dim - last, axes[dim], CHANNELS, node)
    trace.averaged.extend(axes[last:])
    return axes


def group_norm(trace: Trace, node: fx.Node) -> Axes:
    """Statistics of groups of channels, which keep one size; groups of one channel each can go like any channel."""
    axes, groups = trace.axes(argument(node, "input"), node), int(argument(node, "num_groups"))
    trace.freeze_all(axes[2:], "a normalization averages over it", node)
    if groups != len(axes[1]):
        trace.averaged.append(axes[1])
        trace.tie_rows(axes[1].reshape(groups, -1).T, node)
    for name in ("weight", "bias"):
        if argument(node, name) is not None:
            trace.join(argument(node, name), 0, axes[1], CHANNELS, node)
    return axes


def prelu(trace: Trace, node: fx.Node) -> Axes:
    """A slope for each channel, or one for all."""
    axes, slope = trace.axes(argument(node, "self"), node), argument(node, "weight")
    if shape_of(slope) != (1,) and shape_of(slope):
        trace.join(slope, 0, axes[1], CHANNELS, node)
    return axes


def spatial(trace: Trace, node: fx.Node) -> Axes:
    """Pooling and resizing: rows and columns stay."""
    axes = trace.axes(node.all_input_nodes[0], node)
    trace.freeze_all(axes[-2:], f"{op_name(node)} slides over it", node)
    return (*axes[:-2], *fixed_axes(shape_of(node)[-2:]))
