"""A convolution in groups as one convolution for each group; a depthwise one of several filters a channel as one of one filter.

Given:  convolution(x, w, b, …, groups) with fewer groups than channels of x
Result: cat(convolution(slice(x), a part of w, a part of b, …, 1), …) along the channels

Given:  convolution(x, w, b, …, groups) with as many groups as x has channels, and m times as many results
Result: convolution(each channel of x m times, w, b, …, m groups)
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, constant_value, shape_of


def _grouped(node: fx.Node) -> fx.Node | None:
    groups, channels = argument(node, "groups"), shape_of(argument(node, "input"))[1]
    weight = constant_value(argument(node, "weight"))
    if groups == 1 or weight is None:
        return None
    if groups == channels and not argument(node, "transposed"):
        return _repeated(node, weight.shape[0] // groups) if weight.shape[0] > groups else None
    return _parted(node, groups)


def _parted(node: fx.Node, groups: int) -> fx.Node | None:
    """A convolution for each group."""
    weight, bias = constant_value(argument(node, "weight")), constant_value(argument(node, "bias"))
    assert weight is not None
    if argument(node, "bias") is not None and bias is None:
        return None
    pen, size = Pen(node), shape_of(argument(node, "input"))[1] // groups
    biases = [None] * groups if bias is None else [pen.constant(part, "bias") for part in bias.chunk(groups)]
    parts = []
    for group, (part, own) in enumerate(zip(weight.chunk(groups), biases, strict=True)):
        x = pen.slice(argument(node, "input"), 1, group * size, (group + 1) * size)
        parts.append(pen(aten.convolution.default, x, pen.constant(part, "weight"), own, *_options(node), 1))
    return pen(aten.cat.default, parts, 1)


def _repeated(node: fx.Node, times: int) -> fx.Node:
    """A depthwise convolution that reads each channel as often as it has filters."""
    pen, x = Pen(node), argument(node, "input")
    batch, channels, *image = shape_of(x)
    apart = pen.reshape(x, [batch, channels, 1, *image])
    wide = pen.reshape(pen(aten.expand.default, apart, [batch, channels, times, *image]), [batch, channels * times, *image])
    return pen(aten.convolution.default, wide, argument(node, "weight"), argument(node, "bias"), *_options(node), channels * times)


def _options(node: fx.Node) -> list[object]:
    return [argument(node, name) for name in ("stride", "padding", "dilation", "transposed", "output_padding")]


REWRITE = Rewrite((aten.convolution.default,), _grouped)
