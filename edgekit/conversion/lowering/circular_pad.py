"""Circular padding as a concatenation, for formats that only pad with numbers and edges.

Given:  pad(x, [1, 2], mode="circular")
Result: cat([x[..., -1:], x, x[..., :2]], -1), one axis after the other
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, shape_of


def _circular_pad(node: fx.Node) -> fx.Node | None:
    amounts = [int(amount) for amount in argument(node, "pad")]
    if argument(node, "mode") != "circular" or min(amounts) < 0:
        return None
    x: fx.Node = argument(node, "self")
    pen = Pen(node)
    for from_last, (before, after) in enumerate(zip(amounts[::2], amounts[1::2], strict=True)):
        axis = len(shape_of(node)) - 1 - from_last
        size = shape_of(x)[axis]
        ends = [pen(aten.slice.Tensor, x, axis, size - before, size)] if before else []
        starts = [pen(aten.slice.Tensor, x, axis, 0, after)] if after else []
        if ends or starts:
            x = pen(aten.cat.default, [*ends, x, *starts], axis)
    return x


REWRITE = Rewrite((aten.pad.default,), _circular_pad)
