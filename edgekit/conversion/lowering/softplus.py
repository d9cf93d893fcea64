"""Softplus without exp, whose range no integer grid holds.

log(1 + e^t) = relu(t) - log(sigmoid(|t|)), where the sigmoid stays in [1/2, 1]. PyTorch's threshold, above which it
takes the identity, is left out: at its default of 20 the two differ by 2e-9.

Given:  softplus(x, beta)
Result: sub(relu(x), mul(log(sigmoid(abs(mul(x, beta)))), 1/beta))
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten


def _softplus(node: fx.Node) -> fx.Node:
    x, beta, pen = argument(node, "self"), float(argument(node, "beta")), Pen(node)
    magnitude = pen(aten.abs.default, x if beta == 1 else pen.mul(x, beta))
    tail = pen(aten.log.default, pen(aten.sigmoid.default, magnitude))
    return pen.sub(pen(aten.relu.default, x), tail if beta == 1 else pen.mul(tail, 1 / beta))


REWRITE = Rewrite((aten.softplus.default,), _softplus)
