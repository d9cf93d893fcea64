"""Arithmetic, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import fx

from edgekit.graph import aten
from edgekit_converters.coreml.emission import Emission
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Constant, Value

_BINARY: dict[Any, str] = {
    aten.add.Tensor: "add",
    aten.sub.Tensor: "sub",
    aten.mul.Tensor: "mul",
    aten.div.Tensor: "real_div",
    aten.maximum.default: "maximum",
    aten.minimum.default: "minimum",
}
_UNARY: dict[Any, str] = {
    aten.abs.default: "abs",
    aten.exp.default: "exp",
    aten.sqrt.default: "sqrt",
    aten.sin.default: "sin",
    aten.cos.default: "cos",
    aten.floor.default: "floor",
    aten.round.default: "round",
}


@emits(*_BINARY)
def binary(emission: Emission, node: fx.Node) -> Value:
    """``add``, ``sub``, ``mul``, ``real_div``, ``maximum``, ``minimum``: both operands in the result's dtype."""
    x, y = (emission.cast(operand, emission.dtype(node)) for operand in node.args[:2])
    return emission.op(_BINARY[node.target], x=x, y=y)


@emits(aten.pow.Tensor_Tensor)
def power(emission: Emission, node: fx.Node) -> Value:
    """``mul``, ``sqrt`` or ``rsqrt`` for the exponents 2, 0.5 and -0.5; else ``pow``."""
    x, y = (emission.cast(operand, emission.dtype(node)) for operand in node.args[:2])
    if isinstance(y, Constant) and y.data.size == 1 and not isinstance(x, Constant):
        exponent = float(y.data.reshape(()))
        if exponent == 2:
            return emission.op("mul", x=x, y=x)
        if exponent == 0.5:
            return emission.op("sqrt", x=x)
        if exponent == -0.5:
            return _reciprocal_root(emission, x)
    return emission.op("pow", x=x, y=y)


@emits(*_UNARY)
def unary(emission: Emission, node: fx.Node) -> Value:
    """``abs``, ``exp``, ``sqrt``, ``sin``, ``cos``, ``floor``, ``round``."""
    return emission.op(_UNARY[node.target], x=node.args[0])


@emits(aten.neg.default)
def neg(emission: Emission, node: fx.Node) -> Value:
    """A multiplication by -1."""
    minus = emission.number(-1.0) if emission.dtype(node) == emission.compute else np.int32(-1)
    return emission.op("mul", x=node.args[0], y=minus)


@emits(aten.rsqrt.default)
def rsqrt(emission: Emission, node: fx.Node) -> Value:
    """``rsqrt``."""
    return _reciprocal_root(emission, emission.floats(node.args[0]))


def _reciprocal_root(emission: Emission, x: Value) -> Value:
    """With nothing added to x: the builder's default of 1e-12 is 0 in half precision anyway."""
    return emission.op("rsqrt", x=x, epsilon=emission.number(0.0))


@emits(aten.log.default)
def log(emission: Emission, node: fx.Node) -> Value:
    """``log``, with nothing added to x."""
    return emission.op("log", x=emission.floats(node.args[0]), epsilon=emission.number(0.0))
