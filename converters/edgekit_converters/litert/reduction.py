"""Reductions over dimensions, wherever they lie in storage."""

from __future__ import annotations

from dataclasses import replace

import ai_edge_litert.schema_py_generated as schema
import numpy as np
from torch import fx

from edgekit.graph import argument, aten
from edgekit_converters.litert.emission import OP, Emission, Form, Outcome
from edgekit_converters.litert.layout import Layout
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.storage import axes, stand, unchanged
from edgekit_converters.litert.values import Value


def _reduced(emission: Emission, node: fx.Node, out: Outcome, code: int, *, share: bool = False) -> Value:
    value, given = emission.value(node.args[0]), argument(node, "dim")
    given = [given] if isinstance(given, int) else given
    dims = sorted({d % value.rank for d in given}) if given else list(range(value.rank))
    keep = bool(argument(node, "keepdim"))
    tensor, reduced, layout = axes(emission, out, value, dims, share=share)
    layout = _without(layout, dims, keep)
    if not reduced:
        return unchanged(emission, out, replace(value, layout=layout, tensor=tensor, data=None))
    shape = emission.builder.tensors[tensor].shape
    stored = tuple(1 if i in reduced else size for i, size in enumerate(shape) if keep or i not in reduced)
    options = schema.ReducerOptionsT(keepDims=keep)
    return emission.op(code, [tensor, emission.ints(reduced)], out, Form(layout, stored), options)


def _without(layout: Layout, dims: list[int], keep: bool) -> Layout:
    """The layout with `dims` reduced to size 1, and dropped unless kept."""
    gone = {a for d in dims for a in layout.dims[d]}
    number = {a: i for i, a in enumerate(a for a in range(len(layout.axes)) if a not in gone)}
    left = [tuple(number[a] for a in dim if a in number) for dim in layout.dims]
    kept = tuple(dim for d, dim in enumerate(left) if keep or d not in dims)
    return Layout(tuple(layout.axes[a] for a in number), kept)


@emits(aten.mean.dim, integers=(INT8, INT16))
def mean(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """MEAN."""
    return _reduced(emission, node, out, OP.MEAN)


@emits(aten.sum.dim_IntList, integers=(INT8, INT16))
def sum_(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """SUM."""
    return _reduced(emission, node, out, OP.SUM)


@emits(aten.amax.default, integers=(INT8, INT16))
def amax(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """REDUCE_MAX."""
    return _reduced(emission, node, out, OP.REDUCE_MAX, share=True)


@emits(aten.amin.default, integers=(INT8, INT16))
def amin(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """REDUCE_MIN."""
    return _reduced(emission, node, out, OP.REDUCE_MIN, share=True)


@emits(aten.prod.dim_int)
def prod(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """REDUCE_PROD, in float: the int8 kernel is 6 steps off."""
    return _reduced(emission, node, out, OP.REDUCE_PROD)


@emits(aten.cumsum.default)
def cumsum(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """CUMSUM, in float or int32."""
    value = emission.value(node.args[0])
    dim = argument(node, "dim") % value.rank
    at = stand(emission, out, value, [dim])
    axis = emission.builder.constant(np.asarray(at.place(dim), np.int32))
    return emission.op(OP.CUMSUM, [at.tensor, axis], out, at.form(out.shape), schema.CumsumOptionsT())


@emits(aten.argmax.default, integers=(INT8,))
def argmax(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """ARG_MAX; over all elements where no dimension is given."""
    value, dim = emission.value(node.args[0]), argument(node, "dim")
    if dim is None:
        flat = emission.reshaped(emission.operand(out, value, range(value.rank)), (value.layout.size,))
        value, dim = replace(value, layout=Layout.stored((value.layout.size,)), tensor=flat, data=None), 0
    dim %= value.rank
    at = stand(emission, out, value, [dim])
    whole = argument(node, "dim") is None
    layout = Layout.stored(out.shape) if whole else _without(at.form(value.shape).layout, [dim], bool(argument(node, "keepdim")))
    stored = tuple(size for i, size in enumerate(at.shape) if i != at.place(dim))
    axis = emission.builder.constant(np.asarray(at.place(dim), np.int32))
    options = schema.ArgMaxOptionsT(outputType=schema.TensorType.INT32)
    return emission.op(OP.ARG_MAX, [at.tensor, axis], out, Form(layout, stored), options)


@emits(aten.topk.default, integers=(INT8, INT16))
def topk(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """TOPK_V2 along the innermost axis; of the negated floats where the smallest are asked for."""
    value, largest = emission.value(node.args[0]), bool(argument(node, "largest"))
    out = replace(out, grid=value.grid) if largest else replace(out, dtype="float32", compute="float32")
    order = emission.order_with_last(value, argument(node, "dim") % value.rank)
    shape = tuple(value.shape[d] for d in order)
    tensor = emission.operand(out, value, order)
    if not largest:
        tensor = emission.op(OP.NEG, [tensor], out, Form.of(shape), schema.NegOptionsT()).tensor
    form, builder = Form.of(out.shape, order), emission.builder
    found, places = builder.tensor(form.shape, out.dtype, out.grid), builder.tensor(form.shape, "int32")
    count = builder.constant(np.asarray(argument(node, "k"), np.int32))
    builder.operator(OP.TOPK_V2, [tensor, count], [found, places], schema.TopKV2OptionsT(), emission.path)
    values = Value(form.layout, out.dtype, out.grid, found)
    if not largest:
        values = Value(form.layout, out.dtype, None, emission.op(OP.NEG, [found], out, form, schema.NegOptionsT()).tensor)
    emission.results[node] = values, Value(form.layout, "int32", None, places)
    return values
