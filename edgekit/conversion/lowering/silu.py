"""SiLU (Elfwing et al. 2017), as two operators with integer kernels.

Given:  silu(x)
Result: mul(x, sigmoid(x))
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten


def _silu(node: fx.Node) -> fx.Node:
    x, pen = argument(node, "self"), Pen(node)
    return pen.mul(x, pen(aten.sigmoid.default, x))


REWRITE = Rewrite((aten.silu.default,), _silu)
