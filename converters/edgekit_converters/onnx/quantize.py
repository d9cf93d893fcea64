"""Fake-quantize nodes: constants become stored integers with one DequantizeLinear, values a QuantizeLinear and a DequantizeLinear."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from torch import fx

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.graph import aten, constant_value, grid_of
from edgekit.tensors import Grid
from edgekit_converters import _integers
from edgekit_converters.onnx.emission import Emission, Stored, static
from edgekit_converters.onnx.registry import emits

_DTYPES = {"int8": ir.DataType.INT8, "uint8": ir.DataType.UINT8, "int16": ir.DataType.INT16, "int4": ir.DataType.INT4}


@emits(aten.fake_quantize_per_tensor_affine.default, aten.fake_quantize_per_channel_affine.default)
def fake_quantize(emission: Emission, node: fx.Node) -> ir.Value:
    """Round to the node's grid; nothing where the value is on it already."""
    grid, array = grid_of(node), constant_value(node.args[0])
    assert grid is not None
    if array is not None:
        low, high = node.args[-2:]
        integers = _integers.quantized(array.numpy(), grid, low, high)  # type: ignore[arg-type]
        return stored(emission, Stored(integers, grid, str(node.args[0])))
    value = emission.value(node.args[0])
    if emission.grids.get(value) == grid:
        return value
    return emission.once((value, grid), lambda: dequantized(emission, quantized(emission, value, grid), grid))


@emits(torch.ops.edgekit.fake_quantize_per_block.default)
def fake_quantize_per_block(emission: Emission, node: fx.Node) -> ir.Value:
    """Round a weight to int4 by blocks of its last axis."""
    weight, scale_node, block, low, high = node.args
    grid, scales, array = grid_of(node), constant_value(scale_node), constant_value(weight)
    assert grid is not None and scales is not None and isinstance(block, int)
    if array is None:
        raise emission.refusal(node, "only constants have blockwise scales")
    steps = scales.numpy().astype(np.float32)
    blocks = array.numpy().reshape(*steps.shape, block) / steps[..., None]
    integers = np.clip(np.rint(blocks), low, high).astype(np.int8).reshape(tuple(array.shape))  # type: ignore[arg-type]
    return stored(emission, Stored(integers, grid, str(weight), steps, array.ndim - 1))


@emits(torch.ops.edgekit.fake_half.default)
def fake_half(emission: Emission, node: fx.Node) -> ir.Value:
    """Store a constant in half precision; a Cast makes it float."""
    array = constant_value(node.args[0])
    if array is None:
        raise emission.refusal(node, "only constants are stored in half precision")
    return stored(emission, Stored(array.numpy().astype(np.float16), None, str(node.args[0])))


def stored(emission: Emission, constant: Stored) -> ir.Value:
    """The reals of a compressed constant; emitters that want it laid otherwise find it in ``emission.stored``."""
    if constant.grid is None:
        half = emission.constant(constant.array, constant.name)
        value = emission.op("Cast", [half], constant.array.shape, {"to": ir.DataType.FLOAT}, dtype=ir.DataType.FLOAT)
    elif constant.scales is not None:
        value = _blockwise(emission, constant)
    else:
        integers = emission.constant(constant.array, constant.name, _DTYPES[constant.grid.dtype])
        value = dequantized(emission, integers, constant.grid)
    emission.stored[value] = constant
    return value


def relaid(emission: Emission, value: ir.Value, order: tuple[int, ...]) -> ir.Value:
    """A value with its dimensions in `order`: a constant is stored so, all else is transposed."""
    constant = emission.stored.get(value)
    if constant is None:
        return emission.transposed(value, order)
    return emission.once(("relaid", value, order), lambda: stored(emission, constant.transposed(order)))


def quantized(emission: Emission, value: ir.Value, grid: Grid) -> ir.Value:
    """QuantizeLinear: the integers of a real value."""
    kind = _kind(emission, grid)
    return emission.op("QuantizeLinear", [value, *_scale(emission, grid)], static(value), _axis(grid), dtype=kind)


def dequantized(emission: Emission, integers: ir.Value, grid: Grid) -> ir.Value:
    """DequantizeLinear: the reals that integers stand for."""
    _kind(emission, grid)
    inputs = [integers, *_scale(emission, grid)]
    value = emission.op("DequantizeLinear", inputs, static(integers), _axis(grid), dtype=ir.DataType.FLOAT)
    emission.grids[value] = grid
    return value


def _blockwise(emission: Emission, constant: Stored) -> ir.Value:
    assert constant.grid is not None and constant.scales is not None and constant.grid.block is not None
    emission.opset = max(emission.opset, 21)
    integers = emission.constant(constant.array, constant.name, ir.DataType.INT4)
    inputs = [integers, emission.constant(constant.scales, f"{constant.name}_scale")]
    attributes = {"axis": constant.block_axis, "block_size": constant.grid.block}
    return emission.op("DequantizeLinear", inputs, constant.array.shape, attributes, dtype=ir.DataType.FLOAT)


def _kind(emission: Emission, grid: Grid) -> ir.DataType:
    if grid.dtype in ("int16", "int4"):
        emission.opset = max(emission.opset, 21)
    return _DTYPES[grid.dtype]


def _scale(emission: Emission, grid: Grid) -> list[ir.Value]:
    """Scale and zero point: scalars, or vectors along the grid's axis."""
    whole = grid.axis is None
    scale = np.asarray(grid.scale[0] if whole else grid.scale, np.float32)
    zero = np.asarray(grid.zero_point[0] if whole else grid.zero_point, np.int8 if grid.dtype == "int4" else grid.dtype)
    return [emission.constant(scale, "scale"), emission.constant(zero, "zero_point", _DTYPES[grid.dtype])]


def _axis(grid: Grid) -> dict[str, int]:
    return {} if grid.axis is None else {"axis": grid.axis}
