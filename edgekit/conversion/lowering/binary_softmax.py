"""The softmax of two classes as the sigmoid of their difference.

LiteRT computes an int8 SOFTMAX with 16-bit tables on arm64 and in float elsewhere, and now and then the two round to different steps.
An int8 LOGISTIC is one table of 256 values, the same everywhere; it costs less, and no more rounding than the difference's own.

Given:  softmax(linear(x, w, b)) of two features
Result: sigmoid(linear(x, w', b')), where each class has its own row less the other's
"""

from __future__ import annotations

from typing import Any

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, constant_value, constraints_of, is_call, shape_of


def _binary_softmax(node: fx.Node) -> fx.Node | None:
    logits: Any = node.args[0]
    rank = len(shape_of(node))
    if shape_of(node)[-1] != 2 or argument(node, "dim") % rank != rank - 1:
        return None
    if not is_call(logits, aten.linear.default) or len(logits.users) != 1 or constraints_of(argument(logits, "weight")):
        return None
    weight, bias = (argument(logits, name) for name in ("weight", "bias"))
    if constant_value(weight) is None or (bias is not None and constant_value(bias) is None):
        return None
    pen = Pen(logits)
    difference = pen(aten.linear.default, logits.args[0], *(None if x is None else _differences(pen, x) for x in (weight, bias)))
    return Pen(node)(aten.sigmoid.default, difference)


def _differences(pen: Pen, constant: fx.Node) -> fx.Node:
    """Each of two rows less the other."""
    rows = constant_value(constant)
    assert rows is not None
    return pen.constant(rows - rows.flip(0), "difference")


REWRITE = Rewrite((aten.softmax.int,), _binary_softmax)
