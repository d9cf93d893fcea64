"""Average and maximum pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import numpy as np
from torch import fx

from edgekit.graph import argument, aten, grid_of, is_call
from edgekit_converters._integers import limits
from edgekit_converters._windows import Window
from edgekit_converters.litert.emission import OP, Emission, Form, Outcome
from edgekit_converters.litert.fusion import clamp_bounds
from edgekit_converters.litert.padding import SAME, VALID, padded, scheme
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.values import Value

_CHANNELS_LAST = (0, 2, 3, 1)


@emits(aten.max_pool2d.default, integers=(INT8, INT16))
def max_pool(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """MAX_POOL_2D; padding that is not SAME is a PAD with the smallest value."""
    value, windows = _past_edges(emission, node, *_read(emission, node, out))
    if any(w.dilation != 1 for w in windows):
        raise emission.refusal(node, "TFLite's pools have no dilation", accepted="dilation=1")
    tensor = emission.operand(out, value, _CHANNELS_LAST, share=True)
    padding = scheme(windows)
    if padding is None:
        padding, low = VALID, _smallest(node, out)
        tensor = padded(emission, tensor, _pads(windows), low)
    return _pool(emission, tensor, padding, windows, out)


@emits(aten.avg_pool2d.default, integers=(INT8, INT16))
def avg_pool(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """AVERAGE_POOL_2D, or MEAN over the whole plane; the kernel never counts padding, PyTorch does unless told otherwise."""
    value, windows = _read(emission, node, out)
    if argument(node, "divisor_override"):
        raise emission.refusal(node, "TFLite's pools divide by their window", accepted="divisor_override=None")
    if all(w.valid and w.result == 1 and w.kernel == w.size for w in windows):
        return _mean(emission, value, out)
    padding, counted = scheme(windows), bool(argument(node, "count_include_pad"))
    touched = any(w.before or w.after > 0 for w in windows)
    if padding == VALID or (padding == SAME and not (counted and touched)):
        tensor = emission.operand(out, value, _CHANNELS_LAST, share=True)
        return _pool(emission, tensor, padding, windows, out)
    return _corrected(emission, value, windows, out, counted)


def _corrected(emission: Emission, value: Value, windows: Sequence[Window], out: Outcome, counted: bool) -> Value:
    """The pool of the zero-padded plane, times window / elements counted where the two differ (then in float)."""
    own = [_pair(argument(out.node, "padding"))[i] for i in (0, 1)]
    counts = [_counts(w, pad if counted else 0) for w, pad in zip(windows, own, strict=True)]
    factor = np.divide(windows[0].kernel * windows[1].kernel, np.multiply.outer(*counts), dtype=np.float32)
    if np.all(factor == 1):
        tensor = padded(emission, emission.operand(out, value, _CHANNELS_LAST, share=True), _pads(windows))
        return _pool(emission, tensor, VALID, windows, out)
    plain = replace(out, dtype="float32", compute="float32", grid=None)
    tensor = padded(emission, emission.operand(plain, value, _CHANNELS_LAST), _pads(windows))
    pooled = _pool(emission, tensor, VALID, windows, plain)
    tensors, form = emission.aligned(plain, [pooled, Value.constant(factor)])
    result = emission.op(OP.MUL, tensors, plain, form, schema.MulOptionsT())
    return result if out.grid is None else emission.on_grid(result, out.grid)


def _counts(window: Window, pad: int) -> np.ndarray:
    """Elements each window averages over: those inside the input and the `pad` counted around it."""
    starts = np.arange(window.result) * window.stride - window.before
    ends = np.minimum(starts + window.kernel, window.size + pad)
    return np.asarray(ends - np.maximum(starts, -pad))


def _read(emission: Emission, node: fx.Node, out: Outcome) -> tuple[Value, list[Window]]:
    value = emission.value(node.args[0])
    if value.rank == 3:
        view = value.reshape((1, *value.shape))
        assert view is not None
        value = view
    kernel = _pair(argument(node, "kernel_size"))
    stride = _pair(argument(node, "stride") or kernel)
    padding = _pair(argument(node, "padding"))
    dilation = _pair(argument(node, "dilation")) if is_call(node, aten.max_pool2d.default) else (1, 1)
    changes = emission.change(node.args[0])[-2:]
    rows = zip(value.shape[2:], kernel, stride, dilation, padding, out.shape[-2:], padding, changes, strict=True)
    return value, [Window(*row) for row in rows]


def _past_edges(emission: Emission, node: fx.Node, value: Value, windows: list[Window]) -> tuple[Value, list[Window]]:
    """The operand before a padding that no maximum notices: repeated edges or minus infinity, in every window beside a real element."""
    operand: Any = node.args[0]
    while grid_of(operand) is not None and emission.value(operand.args[0]).grid == value.grid:
        operand = operand.args[0]
    amounts = list(argument(operand, "pad")) if is_call(operand, aten.pad.default) and _unnoticed(operand) else []
    if value.rank != 4 or not 0 < len(amounts) <= 4 or min(amounts) < 0:
        return value, windows
    before, behind = (amounts[i::2][::-1] if len(amounts) == 4 else [0, amounts[i]] for i in (0, 1))
    inner = emission.value(operand.args[0])
    sides = zip(windows, inner.shape[2:], before, behind, strict=True)
    moved = [replace(w, size=s, before=w.before + b, behind=w.behind + a) for w, s, b, a in sides]
    real = all(w.before < w.kernel and (w.result - 1) * w.stride - w.before < w.size for w in moved)
    return (inner, moved) if real and inner.grid == value.grid else (value, windows)


def _unnoticed(pad: fx.Node) -> bool:
    value = argument(pad, "value")
    return argument(pad, "mode") == "replicate" or (
        argument(pad, "mode") == "constant" and value is not None and value <= np.finfo(np.float32).min
    )


def _pair(numbers: Any) -> tuple[int, int]:
    numbers = [numbers] if isinstance(numbers, int) else list(numbers)
    return (numbers[0], numbers[-1])


def _pads(windows: Sequence[Window]) -> list[tuple[int, int]]:
    return [(0, 0), *((w.before, max(w.after, 0)) for w in windows), (0, 0)]


def _smallest(node: fx.Node, out: Outcome) -> float | None:
    """What to pad a maximum pool with; None where zero, which every kernel set pads fast, does."""
    if out.grid is not None:
        low = limits(out.grid.dtype)[0]
        return None if out.grid.zero_point[0] == low else low
    return None if _non_negative(node.args[0]) else float(np.finfo(np.float32).min)


def _non_negative(node: Any) -> bool:
    """Whether a value is known to be no less than zero."""
    while is_call(node, aten.permute.default, aten.reshape.default, aten.max_pool2d.default, aten.avg_pool2d.default, aten.pad.default):
        node = node.args[0]
    if is_call(node, aten.relu.default, aten.clamp.default):
        low, high = clamp_bounds(node)
        return low is not None and low >= 0 and (high is None or high >= 0)
    return is_call(node, aten.sigmoid.default, aten.softmax.int)


def _pool(emission: Emission, tensor: int, padding: int | None, windows: Sequence[Window], out: Outcome) -> Value:
    rows, columns = windows
    code = OP.MAX_POOL_2D if is_call(out.node, aten.max_pool2d.default) else OP.AVERAGE_POOL_2D
    options = schema.Pool2DOptionsT(
        padding=padding, strideH=rows.stride, strideW=columns.stride, filterHeight=rows.kernel, filterWidth=columns.kernel
    )
    source = emission.builder.tensors[tensor].shape
    form = Form.of((source[0], source[3], rows.result, columns.result), _CHANNELS_LAST)
    value = emission.op(code, [tensor], out, form, options).reshape(out.shape)
    assert value is not None
    return value


def _mean(emission: Emission, value: Value, out: Outcome) -> Value:
    """A pool of the whole plane is a MEAN, which XNNPACK takes in int8 and the pool it does not."""
    tensor = emission.operand(out, value, _CHANNELS_LAST)
    form = Form.of((value.shape[0], value.shape[1], 1, 1), _CHANNELS_LAST)
    mean = emission.op(OP.MEAN, [tensor, emission.ints((1, 2))], out, form, schema.ReducerOptionsT(keepDims=True)).reshape(out.shape)
    assert mean is not None
    return mean
