"""Operators that work element by element, with NumPy's broadcasting."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.onnx.emission import Emission, dtype_of
from edgekit_converters.onnx.registry import emits

_UNARY = {
    aten.neg.default: "Neg",
    aten.abs.default: "Abs",
    aten.exp.default: "Exp",
    aten.log.default: "Log",
    aten.sqrt.default: "Sqrt",
    aten.sin.default: "Sin",
    aten.cos.default: "Cos",
    aten.floor.default: "Floor",
    aten.round.default: "Round",
}
_BINARY = {
    aten.add.Tensor: "Add",
    aten.sub.Tensor: "Sub",
    aten.mul.Tensor: "Mul",
    aten.div.Tensor: "Div",
    aten.pow.Tensor_Tensor: "Pow",
    aten.minimum.default: "Min",
    aten.maximum.default: "Max",
}


@emits(*_UNARY)
def unary(emission: Emission, node: fx.Node) -> ir.Value:
    """An operator that ONNX has as it is; of integers in the dtype PyTorch makes of them."""
    return emission.op(_UNARY[node.target], [emission.cast(node.args[0], dtype_of(node))], shape_of(node))  # type: ignore[index]


@emits(aten.rsqrt.default)
def rsqrt(emission: Emission, node: fx.Node) -> ir.Value:
    """1 / √x."""
    root = emission.op("Sqrt", [emission.cast(node.args[0], dtype_of(node))], shape_of(node))
    return emission.op("Reciprocal", [root], shape_of(node))


@emits(*_BINARY)
def binary(emission: Emission, node: fx.Node) -> ir.Value:
    """Both operands in the result's dtype; a second one that is scaled (``alpha``) is multiplied first."""
    a, b = (typed(emission, x, dtype_of(node)) for x in node.args[:2])
    alpha = argument(node, "alpha") if node.target in (aten.add.Tensor, aten.sub.Tensor) else 1
    if alpha != 1:
        b = emission.op("Mul", [b, emission.value(alpha, b)], b.shape)  # type: ignore[arg-type]
    return emission.op(_BINARY[node.target], [a, b], shape_of(node))  # type: ignore[index]


@emits(aten._to_copy.default)
def to_copy(emission: Emission, node: fx.Node) -> ir.Value:
    """Cast."""
    return emission.cast(node.args[0], dtype_of(node))


@emits(aten.where.self)
def where(emission: Emission, node: fx.Node) -> ir.Value:
    """Where."""
    condition = emission.cast(node.args[0], ir.DataType.BOOL)
    a, b = (typed(emission, x, dtype_of(node)) for x in node.args[1:3])
    return emission.op("Where", [condition, a, b], shape_of(node), dtype=dtype_of(node))


def typed(emission: Emission, operand: Any, dtype: ir.DataType) -> ir.Value:
    """An operand in a dtype: a number becomes a constant of it, a value is cast."""
    return emission.cast(operand, dtype) if isinstance(operand, fx.Node) else emission.constant(dtype.numpy().type(operand))
