"""Hard sigmoid (Howard et al. 2019, section 5.2), in the form that costs least where it stands.

Behind a convolution or linear its line is a scale and a shift these absorb (`affine`), and in integers, whose grid ends at 0 and 1,
cutting it off is free. Elsewhere the addition and the ReLU6 are one kernel.

Given:  hardsigmoid(x)
Result: clamp(add(mul(x, 1/6), 1/2), 0, 1) where x has constant weights of its own, else mul(clamp(add(x, 3), 0, 6), 1/6)
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.absorb import has_own_constant_weight
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten


def _hardsigmoid(node: fx.Node) -> fx.Node:
    x, pen = argument(node, "self"), Pen(node)
    if has_own_constant_weight(x) and len(x.users) == 1:
        return pen(aten.clamp.default, pen.add(pen.mul(x, 1 / 6), 0.5), 0.0, 1.0)
    return pen.mul(pen(aten.clamp.default, pen.add(x, 3.0), 0.0, 6.0), 1 / 6)


REWRITE = Rewrite((aten.hardsigmoid.default,), _hardsigmoid)
