"""Comparisons, logic, choice, and changes of dtype."""

from __future__ import annotations

from typing import Any

from torch import fx

from edgekit.graph import aten, dtype_of
from edgekit_converters.coreml.emission import Emission
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Value

_COMPARISONS: dict[Any, str] = {
    aten.gt.Tensor: "greater",
    aten.lt.Tensor: "less",
    aten.ge.Tensor: "greater_equal",
    aten.le.Tensor: "less_equal",
    aten.eq.Tensor: "equal",
    aten.ne.Tensor: "not_equal",
}
_LOGIC: dict[Any, str] = {aten.logical_and.default: "logical_and", aten.logical_or.default: "logical_or"}


@emits(*_COMPARISONS)
def compare(emission: Emission, node: fx.Node) -> Value:
    """``greater`` and its kin, of operands in one dtype: the compute dtype if either is real, else int32."""
    operands = node.args[:2]
    real = any((isinstance(n, fx.Node) and dtype_of(n).is_floating_point) or isinstance(n, float) for n in operands)
    x, y = (emission.cast(operand, emission.compute if real else "int32") for operand in operands)
    return emission.op(_COMPARISONS[node.target], x=x, y=y)


@emits(*_LOGIC)
def logic(emission: Emission, node: fx.Node) -> Value:
    """``logical_and``, ``logical_or``."""
    x, y = (emission.cast(operand, "bool") for operand in node.args[:2])
    return emission.op(_LOGIC[node.target], x=x, y=y)


@emits(aten.logical_not.default)
def logical_not(emission: Emission, node: fx.Node) -> Value:
    """``logical_not``."""
    return emission.op("logical_not", x=emission.cast(node.args[0], "bool"))


@emits(aten.where.self)
def where(emission: Emission, node: fx.Node) -> Value:
    """``select``."""
    a, b = (emission.cast(operand, emission.dtype(node)) for operand in node.args[1:])
    return emission.op("select", cond=emission.cast(node.args[0], "bool"), a=a, b=b)


@emits(aten._to_copy.default)
def to_copy(emission: Emission, node: fx.Node) -> Value:
    """``cast``, towards zero from real numbers to integers; nothing where the program keeps both dtypes alike."""
    return emission.cast(node.args[0], emission.dtype(node))
