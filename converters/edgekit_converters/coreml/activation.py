"""Activations and softmaxes."""

from __future__ import annotations

from typing import Any

from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.coreml.emission import Emission, Result
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Value

_SAME_WORD: dict[Any, str] = {
    aten.relu.default: "relu", aten.silu.default: "silu", aten.sigmoid.default: "sigmoid", aten.tanh.default: "tanh",
    aten.erf.default: "erf",
}  # fmt: skip


@emits(*_SAME_WORD)
def plain(emission: Emission, node: fx.Node) -> Value:
    """``relu``, ``silu``, ``sigmoid``, ``tanh``, ``erf``."""
    return emission.op(_SAME_WORD[node.target], x=node.args[0])


@emits(aten.clamp.default)
def clamp(emission: Emission, node: fx.Node) -> Value:
    """``relu``, ``relu6`` or ``clip``; ``maximum`` or ``minimum`` for one bound, and for integers."""
    low, high, x = argument(node, "min"), argument(node, "max"), node.args[0]
    integer = not emission.dtype(node).startswith("float")
    if not integer and low == 0 and high in (None, 6):
        return emission.op("relu" if high is None else "relu6", x=x)
    if not integer and low is not None and high is not None:
        return emission.op("clip", x=x, alpha=emission.number(low), beta=emission.number(high))
    value = emission.value(x)
    for bound, kind in ((low, "maximum"), (high, "minimum")):
        if bound is not None:
            value = emission.op(kind, x=value, y=int(bound) if integer else emission.number(bound))
    return value


@emits(aten.gelu.default)
def gelu(emission: Emission, node: fx.Node) -> Value:
    """``gelu``."""
    mode = "TANH_APPROXIMATION" if argument(node, "approximate") == "tanh" else "EXACT"
    return emission.op("gelu", x=node.args[0], mode=mode)


@emits(aten.hardsigmoid.default)
def hardsigmoid(emission: Emission, node: fx.Node) -> Value:
    """``sigmoid_hard``."""
    return emission.op("sigmoid_hard", x=node.args[0], alpha=emission.number(1 / 6), beta=emission.number(0.5))


@emits(aten.hardswish.default)
def hardswish(emission: Emission, node: fx.Node) -> Value:
    """X * ``sigmoid_hard`` of x (Howard et al. 2019)."""
    x = emission.written(node.args[0])
    return emission.op("mul", x=x, y=hardsigmoid(emission, node))


@emits(aten.elu.default)
def elu(emission: Emission, node: fx.Node) -> Value:
    """``elu``, with its scales as multiplications."""
    alpha, scale, inner = (float(argument(node, name)) for name in ("alpha", "scale", "input_scale"))
    x = emission.value(node.args[0])
    if inner != 1:
        return _scaled_elu(emission, x, alpha, scale, inner)
    result = emission.op("elu", x=x, alpha=emission.number(alpha))
    return result if scale == 1 else emission.op("mul", x=result, y=emission.number(scale))


def _scaled_elu(emission: Emission, x: Value, alpha: float, scale: float, inner: float) -> Value:
    """Scale * (max(x, 0) + alpha * (exp(min(inner x, 0)) - 1))."""
    below = emission.op("mul", x=x, y=emission.number(inner))
    bent = emission.op("elu", x=emission.op("minimum", x=below, y=emission.number(0.0)), alpha=emission.number(alpha))
    total = emission.op("add", x=emission.op("relu", x=x), y=bent)
    return total if scale == 1 else emission.op("mul", x=total, y=emission.number(scale))


@emits(aten.leaky_relu.default)
def leaky_relu(emission: Emission, node: fx.Node) -> Value:
    """``leaky_relu``."""
    return emission.op("leaky_relu", x=node.args[0], alpha=emission.number(argument(node, "negative_slope")))


@emits(aten.prelu.default)
def prelu(emission: Emission, node: fx.Node) -> Value:
    """``prelu`` of images; else ``relu`` and a multiplication of the rest, with the slopes along axis 1."""
    x, slopes, shape = emission.written(node.args[0]), emission.value(node.args[1]), shape_of(node)
    if len(shape) == 4 and slopes.shape == (shape[1],):
        return emission.op("prelu", x=x, alpha=slopes)
    slopes = emission.reshaped(slopes, (*slopes.shape, *[1] * (len(shape) - 2)))
    below = emission.op("minimum", x=x, y=emission.number(0.0))
    return emission.op("add", x=emission.op("relu", x=x), y=emission.op("mul", x=below, y=slopes))


@emits(aten.softplus.default)
def softplus(emission: Emission, node: fx.Node) -> Value:
    """``softplus``, between a multiplication by beta and one by 1 / beta; PyTorch's straight line far out is the same to rounding."""
    beta, x = float(argument(node, "beta")), emission.value(node.args[0])
    if beta == 1:
        return emission.op("softplus", x=x)
    grown = emission.op("softplus", x=emission.op("mul", x=x, y=emission.number(beta)))
    return emission.op("mul", x=grown, y=emission.number(1 / beta))


@emits(aten.mish.default)
def mish(emission: Emission, node: fx.Node) -> Value:
    """X * ``tanh`` of ``softplus`` of x (Misra 2019)."""
    x = emission.written(node.args[0])
    return emission.op("mul", x=x, y=emission.op("tanh", x=emission.op("softplus", x=x)))


@emits(aten.softmax.int)
def softmax(emission: Emission, node: fx.Node) -> Value:
    """``softmax``."""
    return emission.op("softmax", x=emission.floats(node.args[0]), axis=argument(node, "dim"))


@emits(aten.log_softmax.int)
def log_softmax(emission: Emission, node: fx.Node) -> Value:
    """X minus ``reduce_log_sum_exp``, after the largest was taken away, so that no exponential overflows half precision."""
    x, dim, shape = emission.floats(node.args[0]), argument(node, "dim"), list(shape_of(node))
    shape[dim] = 1
    small = Result(shape)
    centred = emission.op("sub", x=x, y=emission.op("reduce_max", small, x=x, axes=[dim], keep_dims=True))
    return emission.op("sub", x=centred, y=emission.op("reduce_log_sum_exp", small, x=centred, axes=[dim], keep_dims=True))
