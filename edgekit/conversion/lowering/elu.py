"""ELU (Clevert et al. 2016) with a parameter, which kernels do not have: SELU (Klambauer et al. 2017) among others.

Given:  elu(x, alpha)
Result: add(mul(elu(x), alpha), mul(relu(x), 1 - alpha))
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten


def _elu(node: fx.Node) -> fx.Node | None:
    x, pen = argument(node, "self"), Pen(node)
    alpha = float(argument(node, "alpha"))
    if alpha == 1 or argument(node, "scale") != 1 or argument(node, "input_scale") != 1:
        return None
    return pen.add(pen.mul(pen(aten.elu.default, x), alpha), pen.mul(pen(aten.relu.default, x), 1 - alpha))


REWRITE = Rewrite((aten.elu.default,), _elu)
