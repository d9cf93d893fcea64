"""Convolutions: plain, grouped, depthwise, transposed; of one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import numpy as np
from torch import fx

from edgekit.graph import argument, aten
from edgekit_converters._windows import Window
from edgekit_converters.litert.emission import OP, Emission, Form, Outcome
from edgekit_converters.litert.padding import SAME, VALID, padded, scheme, unpadded
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.values import Value
from edgekit_converters.litert.weights import bias_tensor, weight_tensor


@dataclass(frozen=True)
class _Call:
    """A convolution's arguments with its operands in two or three spatial dimensions; pads and changes are per spatial dimension."""

    node: fx.Node
    data: Value
    weight: Value
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    groups: int
    result: tuple[int, ...]
    changes: tuple[int, ...]


@emits(aten.convolution.default, integers=(INT8, INT16), fuses=True)
def convolution(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV or CONV_3D; a 1-D convolution is a 2-D one of height 1."""
    if argument(node, "transposed"):
        value = _transposed(emission, _read(emission, node), out)
    else:
        call = _read(emission, node)
        value = _convolved_3d(emission, call, out) if len(call.stride) == 3 else _convolved(emission, call, out)
    reshaped = value.reshape(out.shape)
    assert reshaped is not None
    return reshaped


def _read(emission: Emission, node: fx.Node) -> _Call:
    transposed = argument(node, "transposed")
    weight = emission.value(node.args[1])
    if weight.data is None:
        raise emission.refusal(node, "its weight is not a constant", next_step="fold the weight's computation, or write it as a matmul")
    operand: Any = node.args[0]
    data, pads = (emission.value(operand), None) if transposed else unpadded(emission, operand)
    batched = data.rank == weight.rank
    if pads is not None and any(b or a for b, a in pads[: data.rank - weight.rank + 2]):
        data, pads = emission.value(operand), None  # channels or samples are padded too: that is no window's business
    spatial = weight.rank - 2
    own = _each(argument(node, "padding"), spatial)
    before = [(0, 0)] * spatial if pads is None else pads[-spatial:]
    total = [(b + p, a + p) for (b, a), p in zip(before, own, strict=True)]
    result = tuple(node.meta["val"].shape) if batched else (1, *node.meta["val"].shape)
    if not batched:
        data = _viewed(data, (1, *data.shape))
    stride, dilation = _each(argument(node, "stride"), spatial), _each(argument(node, "dilation"), spatial)
    groups = int(argument(node, "groups"))
    call = _Call(node, data, weight, stride, dilation, tuple(total), groups, result, emission.change(operand)[-spatial:])
    return _flat(call) if spatial == 1 else call


def _each(numbers: Sequence[int], count: int) -> tuple[int, ...]:
    return tuple(numbers) * count if len(numbers) == 1 else tuple(numbers)


def _viewed(value: Value, shape: Sequence[int]) -> Value:
    view = value.reshape(shape)
    assert view is not None  # only dimensions of size 1 come and go
    return view


def _flat(call: _Call) -> _Call:
    """A 1-D convolution as a 2-D one of height 1."""
    samples, channels, length = call.data.shape
    weight, grid = call.weight, call.weight.grid
    assert weight.data is not None
    flat = replace(Value.constant(np.expand_dims(weight.data, 2), grid), dtype=weight.dtype)
    data = _viewed(call.data, (samples, channels, 1, length))
    result = (call.result[0], call.result[1], 1, call.result[2])
    stride, dilation, pads, changes = (1, *call.stride), (1, *call.dilation), ((0, 0), *call.pads), (0, *call.changes)
    return replace(call, data=data, weight=flat, stride=stride, dilation=dilation, pads=pads, result=result, changes=changes)


def _windows(call: _Call) -> list[Window]:
    sizes, kernel, results = call.data.shape[2:], call.weight.shape[2:], call.result[2:]
    rows = zip(sizes, kernel, call.stride, call.dilation, call.pads, results, call.changes, strict=True)
    return [
        Window(size, taps, step, spread, before, result, behind, change)
        for size, taps, step, spread, (before, behind), result, change in rows
    ]


def _windowed(emission: Emission, call: _Call, out: Outcome) -> tuple[int, int]:
    """The channels-last input tensor, padded if it must be, and the padding scheme."""
    last = (0, *range(2, call.data.rank), 1)
    tensor = emission.operand(out, call.data, last)
    windows = _windows(call)
    found = scheme(windows)
    if found is not None:
        return tensor, found
    return padded(emission, tensor, [(0, 0), *((w.before, max(w.after, 0)) for w in windows), (0, 0)]), int(VALID)


def _convolved(emission: Emission, call: _Call, out: Outcome) -> Value:
    channels, filters = call.data.shape[1], call.weight.shape[0]
    depthwise = call.groups == channels and call.groups > 1
    tensor, padding = _windowed(emission, call, out)
    weight = weight_tensor(emission, out, call.data, call.weight, (1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
    bias = bias_tensor(emission, out, call.data, call.weight)
    geometry = {
        "padding": padding, "strideH": call.stride[0], "strideW": call.stride[1], "dilationHFactor": call.dilation[0],
        "dilationWFactor": call.dilation[1], "fusedActivationFunction": out.activation,
    }  # fmt: skip
    form = Form.of(call.result, (0, 2, 3, 1))
    if depthwise:
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=filters // channels, **geometry)
        return emission.op(OP.DEPTHWISE_CONV_2D, [tensor, weight, bias], out, form, options)
    return emission.op(OP.CONV_2D, [tensor, weight, bias], out, form, schema.Conv2DOptionsT(**geometry))


def _convolved_3d(emission: Emission, call: _Call, out: Outcome) -> Value:
    """CONV_3D exists in float only."""
    if call.groups != 1:
        raise emission.refusal(call.node, "TFLite has no grouped 3-D convolution", accepted="groups=1")
    plain = replace(out, dtype="float32", compute="float32", grid=None)
    tensor, padding = _windowed(emission, call, plain)
    weight = weight_tensor(emission, plain, call.data, call.weight, (2, 3, 4, 1, 0))
    bias = bias_tensor(emission, plain, call.data, call.weight)
    depth, height, width = call.stride
    options = schema.Conv3DOptionsT(
        padding=padding, strideD=depth, strideH=height, strideW=width, dilationDFactor=call.dilation[0], dilationHFactor=call.dilation[1],
        dilationWFactor=call.dilation[2], fusedActivationFunction=out.activation,
    )  # fmt: skip
    value = emission.op(OP.CONV_3D, [tensor, weight, bias], plain, Form.of(call.result, (0, 2, 3, 4, 1)), options)
    return value if out.grid is None else emission.on_grid(value, out.grid)


def _transposed(emission: Emission, call: _Call, out: Outcome) -> Value:
    """TRANSPOSE_CONV. Its SAME crops less in front than behind, as PyTorch's padding seldom does: else VALID, and SLICE crops."""
    if len(call.stride) != 2:
        raise emission.refusal(call.node, "TFLite has no transposed 3-D convolution", accepted="1-D and 2-D")
    if call.groups != 1:
        emission.note(
            f"TRANSPOSE_CONV in {emission.path} multiplies zeros: it has no groups, so {call.groups} are written as one dense kernel"
        )
        call = _ungrouped(call)
    call = _with_plain_kernel(call)
    sizes, wanted = call.data.shape[2:], call.result[2:]
    kernel = call.weight.shape[2:]
    crops = [before for before, _ in call.pads]
    whole = [(n - 1) * s + k for n, s, k in zip(sizes, call.stride, kernel, strict=True)]
    same = all(
        w == n * s and full >= w and crop == (full - w) // 2
        for w, n, s, full, crop in zip(wanted, sizes, call.stride, whole, crops, strict=True)
    )
    written = wanted if same else tuple(max(full, w + crop) for full, w, crop in zip(whole, wanted, crops, strict=True))
    samples, filters = call.result[:2]
    tensor = emission.operand(out, call.data, (0, 2, 3, 1))
    weight = weight_tensor(emission, out, call.data, call.weight, (1, 2, 3, 0))
    bias = bias_tensor(emission, out, call.data, call.weight, channel_axis=1)
    options = schema.TransposeConvOptionsT(
        padding=SAME if same else VALID, strideH=call.stride[0], strideW=call.stride[1], fusedActivationFunction=out.activation
    )
    shape = emission.ints((samples, *written, filters))
    value = emission.op(OP.TRANSPOSE_CONV, [shape, weight, tensor, bias], out, Form.of((samples, filters, *written), (0, 2, 3, 1)), options)
    if tuple(written) == tuple(wanted):
        return value
    begin, size = emission.ints((0, *crops, 0)), emission.ints((samples, *wanted, filters))
    return emission.op(OP.SLICE, [value.tensor, begin, size], out, Form.of(call.result, (0, 2, 3, 1)), schema.SliceOptionsT())


def _with_plain_kernel(call: _Call) -> _Call:
    """A dilated kernel as one with zeros between its taps; and behind them where the result ends a stride or more after the last."""
    assert call.weight.data is not None
    *outer, rows, columns = call.weight.data.shape
    (down, across), kernel = call.dilation, (rows, columns)
    reach = [(taps - 1) * spread + 1 for taps, spread in zip(kernel, call.dilation, strict=True)]
    sides = zip(call.data.shape[2:], call.stride, reach, call.result[2:], call.pads, strict=True)
    missing = [max(wanted + crop - (n - 1) * s - r, 0) for n, s, r, wanted, (crop, _) in sides]
    behind = [m if m >= s else 0 for m, s in zip(missing, call.stride, strict=True)]
    if set(call.dilation) == {1} and not any(behind):
        return call
    spread = np.zeros((*outer, reach[0] + behind[0], reach[1] + behind[1]), call.weight.data.dtype)
    spread[..., : reach[0] : down, : reach[1] : across] = call.weight.data
    weight = replace(Value.constant(spread, call.weight.grid), dtype=call.weight.dtype)
    return replace(call, weight=weight, dilation=(1, 1))


def _ungrouped(call: _Call) -> _Call:
    """A grouped transposed kernel (in, out / groups, …) as a dense one (in, out, …) that is zero between the groups."""
    assert call.weight.data is not None
    inputs, each, *kernel = call.weight.data.shape
    dense = np.zeros((inputs, call.groups * each, *kernel), call.weight.data.dtype)
    size = inputs // call.groups
    for group in range(call.groups):
        rows = slice(group * size, (group + 1) * size)
        dense[rows, group * each : (group + 1) * each] = call.weight.data[rows]
    grid = call.weight.grid
    if grid is not None and grid.axis == 1:
        grid = replace(grid, scale=grid.scale * call.groups, zero_point=grid.zero_point * call.groups)
    return replace(call, groups=1, weight=replace(Value.constant(dense, grid), dtype=call.weight.dtype))
