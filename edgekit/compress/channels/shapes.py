"""How channels go through operators that move values and compute nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from torch import fx

from edgekit.compress.channels.partition import FIXED, Labels
from edgekit.compress.channels.trace import Axes, Split, Trace, fixed, fixed_axes, is_fixed
from edgekit.graph import argument, shape_of


def permute(trace: Trace, node: fx.Node) -> Axes:
    """Dimensions in another order."""
    axes = trace.axes(argument(node, "self"), node)
    return tuple(axes[dim] for dim in argument(node, "dims"))


def expand(trace: Trace, node: fx.Node) -> Axes:
    """A repeated dimension has as many copies as are wanted."""
    axes, shape = trace.axes(argument(node, "self"), node), shape_of(node)
    lead = len(shape) - len(axes)
    kept = [dim >= lead and len(axes[dim - lead]) == size for dim, size in enumerate(shape)]
    return tuple(axes[dim - lead] if kept[dim] else trace.partition.fresh(size) for dim, size in enumerate(shape))


def repeat(trace: Trace, node: fx.Node) -> Axes:
    """Copies one behind the other: what goes from one goes from all."""
    axes, times = trace.axes(argument(node, "self"), node), argument(node, "repeats")
    lead = len(times) - len(axes)
    return (*fixed_axes(times[:lead]), *(np.tile(labels, n) for labels, n in zip(axes, times[lead:], strict=True)))


def cat(trace: Trace, node: fx.Node) -> Axes:
    """Channels of one operand behind those of another."""
    operands = [trace.axes(x, node) for x in argument(node, "tensors")]
    joined = int(argument(node, "dim")) % len(operands[0])
    for other in operands[1:]:
        for dim, labels in enumerate(other):
            if dim != joined:
                trace.tie(operands[0][dim], labels, node)
    return tuple(np.concatenate([axes[dim] for axes in operands]) if dim == joined else operands[0][dim] for dim in range(len(operands[0])))


def cut(trace: Trace, node: fx.Node) -> Axes:
    """A slice: some of the channels go on."""
    axes = list(trace.axes(argument(node, "self"), node))
    dim, step = int(argument(node, "dim")) % len(axes), int(argument(node, "step"))
    if step != 1:
        trace.freeze(axes[dim], f"only each {step}th is used", node)
    axes[dim] = axes[dim][argument(node, "start") : argument(node, "end") : step]
    return tuple(axes)


def flip(trace: Trace, node: fx.Node) -> Axes:
    """Dimensions turned round."""
    axes = list(trace.axes(argument(node, "self"), node))
    for dim in argument(node, "dims"):
        axes[dim] = axes[dim][::-1]
    return tuple(axes)


def pad(trace: Trace, node: fx.Node) -> Axes:
    """Channels that are added can go again."""
    axes, margins = list(trace.axes(argument(node, "self"), node)), argument(node, "pad")
    for back in range(len(margins) // 2):
        dim, before, after = len(axes) - 1 - back, margins[2 * back], margins[2 * back + 1]
        if is_fixed(axes[dim]):
            axes[dim] = fixed(shape_of(node)[dim])
        elif before or after:
            axes[dim] = _padded(trace, node, axes[dim], before, after)
    return tuple(axes)


def _padded(trace: Trace, node: fx.Node, labels: Labels, before: int, after: int) -> Labels:
    if argument(node, "mode") != "constant" or min(before, after) < 0:
        trace.freeze(labels, "padding repeats or cuts them", node)
        return fixed(len(labels) + before + after)
    return np.concatenate([trace.partition.fresh(before), labels, trace.partition.fresh(after)])


def index_select(trace: Trace, node: fx.Node) -> Axes:
    """Chosen indices: a dimension that is chosen from stays."""
    axes = list(trace.axes(argument(node, "self"), node))
    dim = int(argument(node, "dim")) % len(axes)
    trace.freeze(axes[dim], "an index chooses among them", node)
    axes[dim] = fixed(shape_of(node)[dim])
    return tuple(axes)


def gather(trace: Trace, node: fx.Node) -> Axes:
    """Chosen elements: everything stays."""
    trace.freeze_all(trace.axes(argument(node, "self"), node), "an index chooses among them", node)
    return fixed_axes(shape_of(node))


def pixel_shuffle(trace: Trace, node: fx.Node) -> Axes:
    """Each channel is made of several."""
    *lead, channels, height, width = trace.axes(argument(node, "self"), node)
    trace.freeze_all((height, width), "a picture's rows and columns", node)
    written = trace.tie_rows(channels.reshape(-1, int(argument(node, "upscale_factor")) ** 2), node)
    return (*lead, written, *fixed_axes(shape_of(node)[-2:]))


def pixel_unshuffle(trace: Trace, node: fx.Node) -> Axes:
    """Several channels are made of each."""
    *lead, channels, height, width = trace.axes(argument(node, "self"), node)
    trace.freeze_all((height, width), "a picture's rows and columns", node)
    return (*lead, np.repeat(channels, int(argument(node, "downscale_factor")) ** 2), *fixed_axes(shape_of(node)[-2:]))


def reshape(trace: Trace, node: fx.Node) -> Axes:
    """Dimensions that are merged and taken apart; of each block of them that has as many elements before and after, one carries labels."""
    axes, shape = trace.axes(argument(node, "self"), node), shape_of(node)
    result = [fixed(size) for size in shape]
    for before, after in blocks([len(labels) for labels in axes], shape):
        if len(before) == len(after) == 1:
            result[after[0]] = axes[before[0]]
        elif any(not is_fixed(axes[dim]) for dim in before):
            flat = _merged(trace, [axes[dim] for dim in before], node)
            dim, labels = _split(trace, flat, after, shape, node)
            result[dim] = labels
    return tuple(result)


def blocks(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Dimensions, those of size 1 left out, that a reshape maps to each other: smallest runs of equal product."""
    old = [dim for dim, size in enumerate(before) if size != 1]
    new = [dim for dim, size in enumerate(after) if size != 1]
    while old:
        left, right = [old.pop(0)], [new.pop(0)]
        while (a := math.prod(before[d] for d in left)) != (b := math.prod(after[d] for d in right)):
            if a < b:
                left.append(old.pop(0))
            else:
                right.append(new.pop(0))
        yield left, right


def _merged(trace: Trace, axes: Sequence[Labels], node: fx.Node) -> Labels:
    """One dimension of several: labels of the only one that can lose any."""
    free = [dim for dim, labels in enumerate(axes) if not is_fixed(labels)]
    for dim in free[1:]:
        trace.freeze(axes[dim], "they are merged with other channels", node)
    shape = [len(labels) for labels in axes]
    own = axes[free[0]].reshape([-1 if dim == free[0] else 1 for dim in range(len(axes))])
    return np.broadcast_to(own, shape).reshape(-1)


def _split(trace: Trace, flat: Labels, dims: Sequence[int], shape: Sequence[int], node: fx.Node) -> tuple[int, Labels]:
    """The part that carries the labels of a dimension that is taken apart, and them."""
    sizes, flat = [shape[dim] for dim in dims], trace.partition.of(flat)
    rows = [np.moveaxis(flat.reshape(sizes), part, 0).reshape(size, -1) for part, size in enumerate(sizes)]
    natural = [part for part, matrix in enumerate(rows) if (matrix == matrix[:, :1]).all() and (matrix != FIXED).any()]
    # Heads stand before their width, and queries, keys and values before the heads.
    order = natural[:1] or [*range(len(dims))[-2:], *range(len(dims))[:-2]]
    key = (node.name, dims[0])
    choice = trace.choices.get(key, 0)
    part = order[choice]
    labels = trace.tie_rows(rows[part], node)
    trace.splits.append(Split(key, labels, len(order) - 1 - choice))
    return dims[part], labels


def glu(trace: Trace, node: fx.Node) -> Axes:
    """Two halves, one of which gates the other."""
    axes = list(trace.axes(argument(node, "self"), node))
    dim = int(argument(node, "dim")) % len(axes)
    first, second = np.split(axes[dim], 2)
    trace.tie(first, second, node)
    axes[dim] = first
    return tuple(axes)
