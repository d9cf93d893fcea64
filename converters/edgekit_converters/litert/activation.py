"""Activations and softmaxes that no operator before them absorbed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import numpy as np
from torch import fx

from edgekit.graph import argument, aten
from edgekit.tensors import Grid
from edgekit_converters._integers import limits, quantized
from edgekit_converters.litert.emission import OP, Emission, Form, Outcome
from edgekit_converters.litert.fusion import Bounds, clamp_bounds, implied
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.values import Value

_HALF = {INT8: Grid(INT8, (1 / 256,), (-128,)), INT16: Grid(INT16, (1 / 32768,), (0,))}
_TANH = {INT8: Grid(INT8, (1 / 128,), (0,)), INT16: Grid(INT16, (1 / 32768,), (0,))}
_RELUS: dict[Bounds, int] = {(0.0, None): OP.RELU, (0.0, 6.0): OP.RELU6, (-1.0, 1.0): OP.RELU_N1_TO_1}
_LOG_SOFTMAX = {INT8: Grid(INT8, (16 / 256,), (127,))}


@emits(aten.relu.default, integers=(INT8, INT16))
def relu(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """RELU."""
    return emission.unary(OP.RELU, emission.value(node.args[0]), out)


@emits(aten.clamp.default, integers=(INT8, INT16))
def clamp(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """RELU, RELU6 or RELU_N1_TO_1 in float; nothing where the integer grid ends at the bounds; else MAXIMUM and MINIMUM."""
    value, bounds = emission.value(node.args[0]), clamp_bounds(node)
    if out.integer:
        assert out.grid is not None
        value = emission.on_grid(value, out.grid)
        return value if implied(bounds, out.grid) else _between(emission, value, bounds, out)
    whole = _RELUS.get(bounds)
    if whole is not None and out.dtype == "float32":
        return emission.unary(whole, value, out)
    return _between(emission, value, bounds, out)


def _between(emission: Emission, value: Value, bounds: Bounds, out: Outcome) -> Value:
    for bound, code in zip(bounds, (OP.MAXIMUM, OP.MINIMUM), strict=True):
        if bound is not None:
            tensors, form = emission.aligned(out, [value, _like(bound, out)])
            value = emission.op(code, tensors, out, form, schema.MaximumMinimumOptionsT())
    return value


def _like(number: float, out: Outcome) -> Value:
    """A scalar constant on the grid, or in the dtype, of `out`."""
    if out.grid is None:
        return Value.constant(np.asarray(number, out.dtype))
    return Value.constant(quantized(np.asarray(number, np.float32), out.grid, *limits(out.grid.dtype)), out.grid)


@emits(aten.gelu.default, integers=(INT8,))
def gelu(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """GELU."""
    options = schema.GeluOptionsT(approximate=argument(node, "approximate") == "tanh")
    return emission.unary(OP.GELU, emission.value(node.args[0]), out, options)


@emits(aten.hardswish.default, integers=(INT8,))
def hardswish(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """HARD_SWISH."""
    return emission.unary(OP.HARD_SWISH, emission.value(node.args[0]), out, schema.HardSwishOptionsT())


@emits(aten.leaky_relu.default, integers=(INT8, INT16))
def leaky_relu(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """LEAKY_RELU."""
    options = schema.LeakyReluOptionsT(alpha=float(argument(node, "negative_slope")))
    return emission.unary(OP.LEAKY_RELU, emission.value(node.args[0]), out, options)


@emits(aten.prelu.default, integers=(INT8,))
def prelu(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """PRELU, with its slopes shaped to broadcast along the channels wherever they lie."""
    data, slopes = emission.value(node.args[0]), emission.value(node.args[1])
    shape = [1] * data.rank
    if data.rank > 1:
        shape[1] = slopes.shape[0]
    laid = slopes.reshape(shape)
    if laid is None:
        raise emission.refusal(node, "its slopes have a scale for each channel", accepted="per-tensor scales")
    order = emission.near_order(data)
    tensors = [emission.operand(out, data, order), emission.operand(out, laid, order, trim=True)]
    return emission.op(OP.PRELU, tensors, out, Form.of(out.shape, order))


@emits(aten.elu.default, integers=(INT8,))
def elu(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """ELU, for alpha 1; other parameters in float, from its definition."""
    alpha, scale, inner = (float(argument(node, name)) for name in ("alpha", "scale", "input_scale"))
    value = emission.value(node.args[0])
    if (alpha, scale, inner) == (1, 1, 1):
        return emission.unary(OP.ELU, value, out)
    plain = replace(out, dtype="float32", compute="float32", grid=None)

    def scaled(code: Any, operand: Value, number: float, options: Any) -> Value:
        tensors, form = emission.aligned(plain, [operand, _like(number, plain)])
        return emission.op(code, tensors, plain, form, options)

    below = scaled(OP.MINIMUM, value, 0.0, schema.MaximumMinimumOptionsT())
    if inner != 1:
        below = scaled(OP.MUL, below, inner, schema.MulOptionsT())
    grown = emission.unary(OP.EXP, below, plain)
    bent = scaled(OP.MUL, scaled(OP.SUB, grown, 1.0, schema.SubOptionsT(potScaleInt16=False)), alpha * scale, schema.MulOptionsT())
    above = emission.unary(OP.RELU, value, plain)
    if scale != 1:
        above = scaled(OP.MUL, above, scale, schema.MulOptionsT())
    tensors, form = emission.aligned(plain, [above, bent])
    result = emission.op(OP.ADD, tensors, plain, form, schema.AddOptionsT(potScaleInt16=False))
    return result if out.grid is None else emission.on_grid(result, out.grid)


@emits(aten.sigmoid.default, integers=(INT8, INT16))
def sigmoid(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """LOGISTIC."""
    return _fixed(emission, out, _HALF, lambda fixed: emission.unary(OP.LOGISTIC, emission.value(node.args[0]), fixed))


@emits(aten.tanh.default, integers=(INT8, INT16))
def tanh(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """TANH."""
    return _fixed(emission, out, _TANH, lambda fixed: emission.unary(OP.TANH, emission.value(node.args[0]), fixed))


@emits(aten.softmax.int, integers=(INT8, INT16))
def softmax(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """SOFTMAX over the innermost stored dimension."""
    return _fixed(emission, out, _HALF, lambda fixed: _over_last(emission, node, fixed, OP.SOFTMAX, schema.SoftmaxOptionsT(beta=1.0)))


@emits(aten.log_softmax.int, integers=(INT8,))
def log_softmax(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """LOG_SOFTMAX over the innermost stored dimension."""
    return _fixed(emission, out, _LOG_SOFTMAX, lambda fixed: _over_last(emission, node, fixed, OP.LOG_SOFTMAX, schema.LogSoftmaxOptionsT()))


def _over_last(emission: Emission, node: fx.Node, out: Outcome, code: int, options: Any) -> Value:
    value = emission.value(node.args[0])
    if value.rank == 0:
        raise emission.refusal(node, "a softmax over nothing is 1", next_step="remove it")
    order = emission.order_with_last(value, argument(node, "dim") % value.rank)
    return emission.op(code, [emission.operand(out, value, order)], out, Form.of(out.shape, order), options)


def _fixed(emission: Emission, out: Outcome, grids: dict[str, Grid], write: Any) -> Value:
    """Write with the grid that the kernel imposes on its result, and requantize if the graph has another."""
    if not out.integer or out.grid is None:
        value: Value = write(out)
        return value
    value = write(replace(out, grid=grids[out.compute]))
    return emission.on_grid(value, out.grid)
