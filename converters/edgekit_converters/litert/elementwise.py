"""Arithmetic, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import numpy as np
from torch import fx

from edgekit.graph import aten
from edgekit_converters.litert.emission import OP, Emission, Outcome
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.values import Value


@emits(aten.add.Tensor, integers=(INT8, INT16), fuses=True)
def add(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """ADD."""
    return _binary(emission, node, out, OP.ADD, schema.AddOptionsT(fusedActivationFunction=out.activation, potScaleInt16=False))


@emits(aten.sub.Tensor, integers=(INT8, INT16), fuses=True)
def sub(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """SUB."""
    return _binary(emission, node, out, OP.SUB, schema.SubOptionsT(fusedActivationFunction=out.activation, potScaleInt16=False))


@emits(aten.mul.Tensor, integers=(INT8, INT16), fuses=True)
def mul(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """MUL."""
    return _binary(emission, node, out, OP.MUL, schema.MulOptionsT(fusedActivationFunction=out.activation))


@emits(aten.div.Tensor, integers=(INT8, INT16))
def div(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """DIV; MUL by the reciprocals where the divisor is a float constant, because every kernel set multiplies faster."""
    divisor = emission.value(node.args[1])
    if not out.integer and out.dtype == "float32" and divisor.data is not None and divisor.dtype == "float32":
        inverse = np.divide(1.0, divisor.data, dtype=np.float32)
        if np.array_equal(np.frexp(divisor.data)[0], np.full(divisor.data.shape, 0.5, np.float32)):  # powers of two: exactly the same
            tensors, form = emission.aligned(out, [emission.value(node.args[0]), Value.constant(inverse)])
            return emission.op(OP.MUL, tensors, out, form, schema.MulOptionsT(fusedActivationFunction=out.activation))
    return _binary(emission, node, out, OP.DIV, schema.DivOptionsT(fusedActivationFunction=out.activation))


@emits(aten.maximum.default, integers=(INT8, INT16))
def maximum(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """MAXIMUM, of raw integers: one grid for all."""
    return _binary(emission, node, out, OP.MAXIMUM, schema.MaximumMinimumOptionsT(), share=True)


@emits(aten.minimum.default, integers=(INT8, INT16))
def minimum(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """MINIMUM, of raw integers: one grid for all."""
    return _binary(emission, node, out, OP.MINIMUM, schema.MaximumMinimumOptionsT(), share=True)


@emits(aten.pow.Tensor_Tensor)
def power(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """MUL, SQRT or RSQRT for the exponents 2, 0.5 and -0.5; else POW."""
    base, exponent = emission.value(node.args[0]), emission.value(node.args[1])
    if exponent.data is not None and exponent.data.size == 1 and base.shape == out.shape and out.dtype == "float32":
        number = float(exponent.data.reshape(()))
        if number == 2:
            tensors, form = emission.aligned(out, [base, base])
            return emission.op(OP.MUL, tensors, out, form, schema.MulOptionsT())
        if number in (0.5, -0.5):
            return emission.unary(OP.SQRT if number > 0 else OP.RSQRT, base, out)
    return _binary(emission, node, out, OP.POW, schema.PowOptionsT())


def _binary(emission: Emission, node: fx.Node, out: Outcome, code: int, options: Any, *, share: bool = False) -> Value:
    left, right = node.args[:2]
    tensors, form = emission.aligned(out, [emission.value(left), emission.value(right)], share=share)
    return emission.op(code, tensors, out, form, options)


def _unary(code: int) -> Callable[[Emission, fx.Node, Outcome], Value]:
    def emit(emission: Emission, node: fx.Node, out: Outcome) -> Value:
        return emission.unary(code, emission.value(node.args[0]), out)

    return emit


emits(aten.abs.default, integers=(INT8, INT16))(_unary(OP.ABS))
emits(aten.exp.default, integers=(INT8,))(_unary(OP.EXP))
emits(aten.log.default, integers=(INT8,))(_unary(OP.LOG))
emits(aten.sqrt.default, integers=(INT8, INT16))(_unary(OP.SQRT))
emits(aten.rsqrt.default, integers=(INT8,))(_unary(OP.RSQRT))
emits(aten.neg.default)(_unary(OP.NEG))
emits(aten.sin.default)(_unary(OP.SIN))
emits(aten.cos.default)(_unary(OP.COS))
emits(aten.floor.default)(_unary(OP.FLOOR))
emits(aten.ceil.default)(_unary(OP.CEIL))
emits(aten.round.default)(_unary(OP.ROUND))
emits(aten.sign.default)(_unary(OP.SIGN))
