"""Comparisons, logic, choice, and changes of dtype."""

from __future__ import annotations

from typing import Any

import ai_edge_litert.schema_py_generated as schema
from torch import fx

from edgekit.graph import aten
from edgekit_converters.litert.emission import OP, Emission, Form, Outcome
from edgekit_converters.litert.layout import Layout
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.values import Value

_COMPARISONS: dict[Any, tuple[int, Any]] = {
    aten.gt.Tensor: (OP.GREATER, schema.GreaterOptionsT),
    aten.lt.Tensor: (OP.LESS, schema.LessOptionsT),
    aten.ge.Tensor: (OP.GREATER_EQUAL, schema.GreaterEqualOptionsT),
    aten.le.Tensor: (OP.LESS_EQUAL, schema.LessEqualOptionsT),
    aten.eq.Tensor: (OP.EQUAL, schema.EqualOptionsT),
    aten.ne.Tensor: (OP.NOT_EQUAL, schema.NotEqualOptionsT),
    aten.logical_and.default: (OP.LOGICAL_AND, schema.LogicalAndOptionsT),
    aten.logical_or.default: (OP.LOGICAL_OR, schema.LogicalOrOptionsT),
}


@emits(*_COMPARISONS)
def compare(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """GREATER and its kin, in float or int32: the int8 kernels rescale their operands and err by a step."""
    code, options = _COMPARISONS[node.target]
    tensors, form = emission.aligned(out, [emission.value(operand) for operand in node.args[:2]])
    return emission.op(code, tensors, out, form, options())


@emits(aten.logical_not.default)
def logical_not(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """LOGICAL_NOT."""
    return emission.unary(OP.LOGICAL_NOT, emission.value(node.args[0]), out, schema.LogicalNotOptionsT())


@emits(aten.where.self, integers=(INT8, INT16))
def where(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """SELECT_V2."""
    rank = len(out.shape)
    values = [emission.value(operand).expand_rank(rank) for operand in node.args]
    order = emission.leading_order(values, rank)
    condition = emission.stored(values[0], order)
    choices = [emission.operand(out, value, order, share=True) for value in values[1:]]
    form = Form(Layout.stored(out.shape, order), tuple(out.shape[d] for d in order))
    return emission.op(OP.SELECT_V2, [condition, *choices], out, form, schema.SelectV2OptionsT())


@emits(aten._to_copy.default)
def to_copy(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """CAST; nothing where the file keeps both dtypes alike (64-bit integers are written as int32)."""
    value = emission.value(node.args[0])
    if value.grid is None and value.dtype == out.dtype:
        return value
    return emission.unary(OP.CAST, value, out, schema.CastOptionsT())
