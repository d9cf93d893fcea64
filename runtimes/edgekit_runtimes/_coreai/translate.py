"""MIL operations in Core AI's: one function each. The table says all that the second opinion can judge."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from coreai import authoring as ai
from coreai.authoring.constant import constant

from edgekit_runtimes._coreai.call import Call
from edgekit_runtimes._coreml.padding import amounts

Translate = Callable[[Call], Any]
OPERATORS: dict[str, Translate] = {}

_UNARY = {"relu": ai.relu, "sigmoid": ai.sigmoid, "tanh": ai.tanh, "exp": ai.exp, "erf": ai.erf, "sqrt": ai.sqrt, "abs": ai.abs_,
          "sin": ai.sin, "cos": ai.cos, "silu": ai.silu}  # fmt: skip
_BINARY = {"add": ai.broadcasting_add, "sub": ai.broadcasting_sub, "mul": ai.broadcasting_mul, "real_div": ai.broadcasting_divide,
           "maximum": ai.broadcasting_maximum, "minimum": ai.broadcasting_minimum, "pow": ai.broadcasting_pow}  # fmt: skip
_REDUCTIONS = {"reduce_mean": ai.reduce_mean, "reduce_sum": ai.reduce_sum, "reduce_max": ai.reduce_max, "reduce_min": ai.reduce_min}


def _operator(function: Translate) -> Translate:
    OPERATORS[function.__name__.strip("_")] = function
    return function


def _unary(function: Callable[..., Any]) -> Translate:
    return lambda call: function(call["x"])


def _binary(function: Callable[..., Any]) -> Translate:
    return lambda call: function(call["x"], call["y"])


def _reduction(function: Callable[..., Any]) -> Translate:
    def reduce(call: Call) -> Any:
        rank = len(call.shape("x"))
        axes = sorted(axis % rank for axis in call.ints("axes", range(rank)))
        return _shaped(function(call["x"], np.array(axes, np.int32)), call)

    return reduce


OPERATORS |= {name: _unary(function) for name, function in _UNARY.items()}
OPERATORS |= {name: _binary(function) for name, function in _BINARY.items()}
OPERATORS |= {name: _reduction(function) for name, function in _REDUCTIONS.items()}


def _shaped(value: Any, call: Call) -> Any:
    return ai.reshape(value, np.array(call.out.shape, np.int32))


for _name in ("reshape", "expand_dims", "squeeze", "flatten2d"):
    OPERATORS[_name] = lambda call: _shaped(call["x"], call)


@_operator
def conv(call: Call) -> Any:
    """Convolution of two spatial dimensions; of one, with a dimension of 1 beside it."""
    weight, x, rank = call.array("weight"), call["x"], len(call.shape("x")) - 2
    if rank > 2:
        raise ValueError(f"a convolution of {rank} dimensions")
    stride, dilation = call.ints("strides", [1] * rank), call.ints("dilations", [1] * rank)
    windows = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    pads = amounts(call.text("pad_type", "valid"), call.get("pad"), call.shape("x")[2:], windows, stride)
    x = _padded(x, pads, call)
    if rank == 1:
        n, channels, length = call.shape("x")
        x = ai.reshape(x, np.array([n, channels, 1, length + sum(pads[0])], np.int32))
        weight, stride, dilation = weight[:, :, None], [1, *stride], [1, *dilation]
    groups = np.array(call.ints("groups", [1])[0], np.uint32)
    y = _shaped(ai.conv2d(x, weight, np.array(stride, np.uint32), np.array(dilation, np.uint32), groups), call)
    return y if call.get("bias") is None else ai.broadcasting_add(y, call.array("bias").reshape(1, -1, *[1] * rank))


def _padded(x: Any, pads: list[tuple[int, int]], call: Call, value: float = 0.0) -> Any:
    if not any(sum(pair) for pair in pads):
        return x
    flat = [0, 0, 0, 0, *(amount for pair in pads for amount in pair)]
    return ai.pad(x, np.array(flat, np.uint32), call.scalar(value))


@_operator
def pad(call: Call) -> Any:
    """Constant padding of the last axes."""
    if call.text("mode", "constant") != "constant":
        raise ValueError(f"padding of mode {call.text('mode', 'constant')}")
    given = call.ints("pad")
    flat = [0] * (2 * len(call.shape("x")) - len(given)) + given
    return ai.pad(call["x"], np.array(flat, np.uint32), call.scalar(float(call.array("constant_val", 0.0))))


def _pooled(call: Call, value: float) -> tuple[Any, np.ndarray, np.ndarray]:
    kernel = call.ints("kernel_sizes")
    if len(kernel) != 2 or call.flag("ceil_mode"):
        raise ValueError("a pool of other than two dimensions, or rounded up")
    stride = call.ints("strides", [1, 1])
    pads = amounts(call.text("pad_type", "valid"), call.get("pad"), call.shape("x")[2:], kernel, stride)
    return _padded(call["x"], pads, call, value), np.array(kernel, np.uint32), np.array(stride, np.uint32)


@_operator
def max_pool(call: Call) -> Any:
    """Maxima of windows."""
    x, kernel, stride = _pooled(call, -math.inf)
    result = ai.TensorType(call.out.shape, np.float16 if call.out.dtype == "fp16" else np.float32)
    return ai.maxpool2d(result, x, kernel, stride, np.ones(2, np.uint32), np.array(False))


@_operator
def avg_pool(call: Call) -> Any:
    """Means of windows, padding counted."""
    x, kernel, stride = _pooled(call, 0.0)
    if call.flag("exclude_padding_from_average") and any(call.ints("pad")):
        raise ValueError("an average without its padding")
    return ai.broadcasting_mul(
        ai.sumpool2d(x, *(constant(v) for v in (kernel, stride, np.ones(2, np.uint32)))), call.scalar(1 / float(kernel.prod()))
    )


@_operator
def linear(call: Call) -> Any:
    """``x @ weight.T + bias``."""
    weight = call.array("weight")
    width = weight.shape[1]
    rows = ai.reshape(call["x"], np.array([math.prod(call.shape("x")) // width, width], np.int32))
    y = _shaped(ai.broadcasting_batch_matmul(rows, np.ascontiguousarray(weight.T)), call)
    return y if call.get("bias") is None else ai.broadcasting_add(y, call.array("bias"))


@_operator
def matmul(call: Call) -> Any:
    """Product of matrices."""
    sides = []
    for name in ("x", "y"):
        rank = len(call.shape(name))
        if rank < 2:
            raise ValueError("a product with a vector")
        swapped = [*range(rank - 2), rank - 1, rank - 2]
        value = call[name]
        sides.append(ai.transpose(value, np.array(swapped, np.uint32)) if call.flag(f"transpose_{name}") else value)
    return ai.broadcasting_batch_matmul(*sides)


@_operator
def transpose(call: Call) -> Any:
    """Dimensions in another order."""
    rank = len(call.shape("x"))
    return ai.transpose(call["x"], np.array([axis % rank for axis in call.ints("perm")], np.uint32))


@_operator
def softmax(call: Call) -> Any:
    """Along an axis."""
    return ai.softmax(call["x"], np.array(call.ints("axis", [-1])[0], np.int32))


@_operator
def gelu(call: Call) -> Any:
    """Exact, or by tanh."""
    modes = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}
    return ai.gelu(call["x"], approximate=modes[call.text("mode", "EXACT")])


@_operator
def clip(call: Call) -> Any:
    """Limited to a range."""
    return ai.broadcasting_minimum(ai.broadcasting_maximum(call["x"], call.array("alpha")), call.array("beta"))


@_operator
def relu6(call: Call) -> Any:
    """``min(max(x, 0), 6)``."""
    return ai.broadcasting_minimum(ai.relu(call["x"]), call.scalar(6.0))


@_operator
def sigmoid_hard(call: Call) -> Any:
    """``min(max(alpha * x + beta, 0), 1)``."""
    line = ai.broadcasting_add(ai.broadcasting_mul(call["x"], call.array("alpha")), call.array("beta"))
    return ai.broadcasting_minimum(ai.broadcasting_maximum(line, call.scalar(0.0)), call.scalar(1.0))


@_operator
def concat(call: Call) -> Any:
    """Joined along an axis."""
    if call.flag("interleave"):
        raise ValueError("values joined element by element")
    return ai.concat(np.array(call.ints("axis")[0], np.int32), list(call["values"]))


@_operator
def layer_norm(call: Call) -> Any:
    """By the statistics over some axes."""
    shape, rank = call.shape("x"), len(call.shape("x"))
    axes = sorted(axis % rank for axis in call.ints("axes", range(rank)))
    kept = np.array([1 if i in axes else size for i, size in enumerate(shape)], np.int32)
    centred = ai.broadcasting_sub(call["x"], ai.reshape(ai.reduce_mean(call["x"], np.array(axes, np.int32)), kept))
    spread = ai.reshape(ai.reduce_mean(ai.broadcasting_mul(centred, centred), np.array(axes, np.int32)), kept)
    y = ai.broadcasting_divide(centred, ai.sqrt(ai.broadcasting_add(spread, call.array("epsilon", call.scalar(1e-5)))))
    inner = [size if i in axes else 1 for i, size in enumerate(shape)]
    y = y if call.get("gamma") is None else ai.broadcasting_mul(y, call.array("gamma").reshape(inner))
    return y if call.get("beta") is None else ai.broadcasting_add(y, call.array("beta").reshape(inner))


@_operator
def cast(call: Call) -> Any:
    """Between the two float types."""
    types: dict[str, type[np.generic]] = {"fp16": np.float16, "fp32": np.float32}
    return ai.cast(call["x"], types[call.text("dtype", "")])


@_operator
def identity(call: Call) -> Any:
    """The same value."""
    return call["x"]
