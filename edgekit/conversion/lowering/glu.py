"""Gated linear unit (Dauphin et al. 2017).

Given:  glu(x, dim)
Result: mul(a, sigmoid(b));  a, b = the halves of x along dim, two slices
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, shape_of


def _glu(node: fx.Node) -> fx.Node:
    x, pen = argument(node, "self"), Pen(node)
    dim = argument(node, "dim") % len(shape_of(x))
    size = shape_of(x)[dim]
    gate = pen(aten.sigmoid.default, pen.slice(x, dim, size // 2, size))
    return pen.mul(pen.slice(x, dim, 0, size // 2), gate)


REWRITE = Rewrite((aten.glu.default,), _glu)
