"""Hard sigmoid (Howard et al. 2019, section 5.2), as a line cut off at 0 and 1.

The line is a scale and a shift, which the convolution or linear before it absorbs (`affine`); the cut costs nothing in
integers, whose grid ends at 0 and 1.

Given:  hardsigmoid(x)
Result: clamp(add(mul(x, 1/6), 1/2), 0, 1)
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten


def _hardsigmoid(node: fx.Node) -> fx.Node:
    x, pen = argument(node, "self"), Pen(node)
    return pen(aten.clamp.default, pen.add(pen.mul(x, 1 / 6), 0.5), 0.0, 1.0)


REWRITE = Rewrite((aten.hardsigmoid.default,), _hardsigmoid)
