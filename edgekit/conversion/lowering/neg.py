"""Negation as a multiplication: the integer kernel of NEG negates raw integers, which is right only where zero is integer 0.

Given:  neg(x)
Result: mul(x, -1), which `affine` may give to a neighbour
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, dtype_of


def _neg(node: fx.Node) -> fx.Node | None:
    return Pen(node).mul(argument(node, "self"), -1.0) if dtype_of(node).is_floating_point else None


REWRITE = Rewrite((aten.neg.default,), _neg)
