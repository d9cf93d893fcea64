"""Activations."""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.onnx.emission import Emission, dtype_of, static
from edgekit_converters.onnx.registry import emits

_PLAIN = {
    aten.relu.default: "Relu",
    aten.sigmoid.default: "Sigmoid",
    aten.tanh.default: "Tanh",
    aten.hardswish.default: "HardSwish",
    aten.erf.default: "Erf",
}


@emits(*_PLAIN)
def plain(emission: Emission, node: fx.Node) -> ir.Value:
    """An operator that ONNX has as it is."""
    return emission.op(_PLAIN[node.target], [node.args[0]], shape_of(node))  # type: ignore[index]


@emits(aten.clamp.default)
def clamp(emission: Emission, node: fx.Node) -> ir.Value:
    """Clip; Relu where that is what it is."""
    x = emission.value(node.args[0])
    low, high = argument(node, "min"), argument(node, "max")
    if low == 0 and high is None:
        return emission.op("Relu", [x], shape_of(node))
    bounds = [None if b is None else emission.value(_bound(b), x) for b in (low, high)]
    return emission.op("Clip", [x, *(bounds if bounds[1] is not None else bounds[:1])], shape_of(node))


def _bound(number: Any) -> Any:
    return float(number) if isinstance(number, (int, float)) and not isinstance(number, bool) else number


@emits(aten.gelu.default)
def gelu(emission: Emission, node: fx.Node) -> ir.Value:
    """By erf or tanh: the Gelu operator is of opset 20, and these forms are what optimizers know."""
    x, shape = emission.value(node.args[0]), shape_of(node)
    if argument(node, "approximate") == "tanh":
        cube = emission.op("Mul", [emission.op("Mul", [x, x], shape), x], shape)
        inner = emission.op("Add", [x, emission.op("Mul", [cube, emission.value(0.044715, x)], shape)], shape)
        gate = emission.op("Tanh", [emission.op("Mul", [inner, emission.value(math.sqrt(2 / math.pi), x)], shape)], shape)
    else:
        gate = emission.op("Erf", [emission.op("Div", [x, emission.value(math.sqrt(2), x)], shape)], shape)
    opened = emission.op("Mul", [x, emission.op("Add", [gate, emission.value(1.0, x)], shape)], shape)
    return emission.op("Mul", [opened, emission.value(0.5, x)], shape)


@emits(aten.silu.default)
def silu(emission: Emission, node: fx.Node) -> ir.Value:
    """Sigmoid times the input."""
    x, shape = emission.value(node.args[0]), shape_of(node)
    return emission.op("Mul", [x, emission.op("Sigmoid", [x], shape)], shape)


@emits(aten.hardsigmoid.default)
def hardsigmoid(emission: Emission, node: fx.Node) -> ir.Value:
    """HardSigmoid."""
    return emission.op("HardSigmoid", [node.args[0]], shape_of(node), {"alpha": 1 / 6, "beta": 0.5})


@emits(aten.elu.default)
def elu(emission: Emission, node: fx.Node) -> ir.Value:
    """Elu; α(exp(i·x) - 1) with i ≠ 1 is that of the scaled input, on the negative side only."""
    x, shape = emission.value(node.args[0]), shape_of(node)
    alpha, scale, inner = (float(argument(node, name)) for name in ("alpha", "scale", "input_scale"))
    if inner != 1:
        negative = emission.op("Mul", [emission.op("Min", [x, emission.value(0.0, x)], shape), emission.value(inner, x)], shape)
        curve = emission.op("Elu", [negative], shape, {"alpha": alpha})
        result = emission.op("Add", [emission.op("Relu", [x], shape), curve], shape)
    else:
        result = emission.op("Elu", [x], shape, {"alpha": alpha})
    return result if scale == 1 else emission.op("Mul", [result, emission.value(scale, x)], shape)


@emits(aten.leaky_relu.default)
def leaky_relu(emission: Emission, node: fx.Node) -> ir.Value:
    """LeakyRelu."""
    return emission.op("LeakyRelu", [node.args[0]], shape_of(node), {"alpha": float(argument(node, "negative_slope"))})


@emits(aten.prelu.default)
def prelu(emission: Emission, node: fx.Node) -> ir.Value:
    """PRelu; its slopes broadcast from the right, so those of channels get dimensions of size 1 behind."""
    x, slope, shape = emission.value(node.args[0]), emission.value(argument(node, "weight")), shape_of(node)
    if len(shape) > 2 and static(slope) != (1,):
        slope = emission.reshaped(slope, (*static(slope), *[1] * (len(shape) - 2)))
    return emission.op("PRelu", [x, slope], shape)


@emits(aten.softplus.default)
def softplus(emission: Emission, node: fx.Node) -> ir.Value:
    """Softplus of the scaled input, scaled back; beyond the threshold the two differ by less than a float's precision."""
    x, shape, beta = emission.value(node.args[0]), shape_of(node), float(argument(node, "beta"))
    if beta == 1:
        return emission.op("Softplus", [x], shape)
    scaled = emission.op("Mul", [x, emission.value(beta, x)], shape)
    return emission.op("Div", [emission.op("Softplus", [scaled], shape), emission.value(beta, x)], shape)


@emits(aten.mish.default)
def mish(emission: Emission, node: fx.Node) -> ir.Value:
    """Tanh of Softplus, times the input: more runtimes know the parts than the operator."""
    x, shape = emission.value(node.args[0]), shape_of(node)
    return emission.op("Mul", [x, emission.op("Tanh", [emission.op("Softplus", [x], shape)], shape)], shape)


@emits(aten.glu.default)
def glu(emission: Emission, node: fx.Node) -> ir.Value:
    """One half gated by the other."""
    shape, dim = shape_of(node), int(argument(node, "dim")) % len(shape_of(node))
    values, gate = emission.ops("Split", [node.args[0]], [shape, shape], {"axis": dim, "num_outputs": 2})
    return emission.op("Mul", [values, emission.op("Sigmoid", [gate], shape)], shape)


@emits(aten.softmax.int)
def softmax(emission: Emission, node: fx.Node) -> ir.Value:
    """Softmax."""
    return _along(emission, node, "Softmax")


@emits(aten.log_softmax.int)
def log_softmax(emission: Emission, node: fx.Node) -> ir.Value:
    """LogSoftmax."""
    return _along(emission, node, "LogSoftmax")


def _along(emission: Emission, node: fx.Node, op_type: str) -> ir.Value:
    x = emission.cast(node.args[0], dtype_of(node))
    return emission.op(op_type, [x], shape_of(node), {"axis": int(argument(node, "dim"))})
