"""Mish (Misra 2019), from one sigmoid and without an intermediate that overflows or cancels.

tanh(log(1 + e^x)) = u / (2 - u), where s = sigmoid(x) and u = s(2 - s): every intermediate lies in [0, 2], which
an integer grid holds well, and both tails keep their relative precision in float.

Given:  mish(x)
Result: mul(x, div(u, sub(2, u)));  u = mul(s, sub(2, s)), s = sigmoid(x)
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten


def _mish(node: fx.Node) -> fx.Node:
    x, pen = argument(node, "self"), Pen(node)
    two = pen.number(2.0, x)
    s = pen(aten.sigmoid.default, x)
    u = pen.mul(s, pen.sub(two, s))
    return pen.mul(x, pen(aten.div.Tensor, u, pen.sub(two, u)))


REWRITE = Rewrite((aten.mish.default,), _mish)
