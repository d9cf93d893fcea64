"""The error function through tanh, which has float and integer kernels.

erf(x) = tanh(y P(y²)) with y = clamp(x, -4, 4) and P of degree 5, fitted to the smallest largest error: 8e-7 on all of float32
(the two-term form of this is tanh(2/√π (x + 11/123 x³)), Vazquez-Leal et al. 2012, off by 4e-4).

Given:  erf(x)
Result: tanh(mul(y, P(mul(y, y))));  P by Horner's rule
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten

_COEFFICIENTS = (1.12837623, 1.02796512e-1, -2.52408344e-4, -5.69815104e-4, 6.99041913e-5, -2.96962661e-6)


def _erf(node: fx.Node) -> fx.Node:
    pen = Pen(node)
    y = pen(aten.clamp.default, argument(node, "self"), -4.0, 4.0)
    square = pen.mul(y, y)
    *lower, last, highest = _COEFFICIENTS
    value = pen.add(pen.mul(square, highest), last)
    for coefficient in reversed(lower):
        value = pen.add(pen.mul(value, square), coefficient)
    return pen(aten.tanh.default, pen.mul(y, value))


REWRITE = Rewrite((aten.erf.default,), _erf)
