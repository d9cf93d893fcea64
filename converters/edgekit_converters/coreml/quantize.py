"""Fake-quantize nodes: constants are stored as the integers they stand for, other values pass a quantize and a dequantize operator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.graph import aten, constant_value, grid_of
from edgekit_converters.coreml.emission import Emission, Result, as_array
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Constant, Value


@emits(
    aten.fake_quantize_per_tensor_affine.default,
    aten.fake_quantize_per_channel_affine.default,
    torch.ops.edgekit.fake_quantize_per_block.default,
)
def fake_quantize(emission: Emission, node: fx.Node) -> Value:
    """A constant on its grid; quantize and dequantize of anything else."""
    value, grid = emission.value(node.args[0]), grid_of(node)
    assert grid is not None
    if grid.dtype not in ("int8", "uint8", "int4"):
        raise emission.refusal(f"Core ML has no {grid.dtype} grids", accepted="int8, uint8; int4 weights")
    if not isinstance(value, Constant):
        return _through_integers(emission, node, value)
    low, high = node.args[-2:]
    scales = as_array(_tensor(node.args[1])) if grid.block is not None else None
    return replace(value, data=_rounded(node, value), grid=grid, limits=(low, high), scales=scales)  # type: ignore[arg-type]


def _rounded(node: fx.Node, value: Constant) -> np.ndarray:
    """What the graph's own operator makes of the constant."""
    rest = [_tensor(a) if isinstance(a, fx.Node) else a for a in node.args[1:]]
    target: Any = node.target
    return np.asarray(target(torch.from_numpy(value.data), *rest).numpy())


def _tensor(node: Any) -> torch.Tensor:
    tensor = constant_value(node)
    assert tensor is not None
    return tensor


def _through_integers(emission: Emission, node: fx.Node, value: Value) -> Value:
    grid = grid_of(node)
    assert grid is not None
    emission.platform.need("int8 activations", module=emission.module)
    if grid.dtype == "int4" or grid.block is not None:
        raise emission.refusal("Core ML rounds activations to 8 bits", accepted="int8, uint8")
    scale, zero = (np.asarray(v, t) for v, t in ((grid.scale, emission.compute), (grid.zero_point, grid.dtype)))
    shared: dict[str, Any] = {"scale": scale if grid.axis is not None else scale[0]}
    if zero.any():
        shared["zero_point"] = zero if grid.axis is not None else zero[0]
    if grid.axis is not None:
        shared["axis"] = np.int32(grid.axis)
    steps = emission.op("quantize", Result(dtype=grid.dtype), input=emission.floats(value), output_dtype=grid.dtype, **shared)
    return emission.op("dequantize", input=steps, **shared)


@emits(torch.ops.edgekit.fake_half.default)
def fake_half(emission: Emission, node: fx.Node) -> Value:
    """Store a constant in half precision."""
    value = emission.value(node.args[0])
    if not isinstance(value, Constant):
        raise emission.refusal("only constants are stored in half precision")
    return replace(value, half=True)


@emits(torch.ops.edgekit.fake_quantize_dynamic.default)
def fake_quantize_dynamic(emission: Emission, node: fx.Node) -> Value:
    """Refused: nothing in Core ML rounds activations by their range at run time."""
    raise emission.refusal(
        "Core ML has no kernels that round activations at run time",
        accepted="w8a8 (calibrated) or w8 (float activations)",
        next_step="--recipe int8, or --recipe weight_int8",
    )
