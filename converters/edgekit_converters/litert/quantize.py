"""Fake-quantize nodes that no operator before them absorbed: constants rounded here and now, values rounded by QUANTIZE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import fx

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.graph import aten, constant_value, grid_of
from edgekit_converters._integers import quantized
from edgekit_converters.litert.emission import Emission, Outcome
from edgekit_converters.litert.registry import emits
from edgekit_converters.litert.values import Value


@emits(aten.fake_quantize_per_tensor_affine.default, aten.fake_quantize_per_channel_affine.default, view=True)
def fake_quantize(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """Round to the node's grid; nothing where the value is on it already."""
    value, grid = emission.value(node.args[0]), grid_of(node)
    assert grid is not None
    if value.data is None or value.grid is not None:
        return emission.on_grid(value, grid)
    low, high = node.args[-2:]
    return Value.constant(quantized(value.data, grid, low, high), grid, grid.dtype)  # type: ignore[arg-type]


@emits(torch.ops.edgekit.fake_quantize_per_block.default, view=True)
def fake_quantize_per_block(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """Round a weight to int4 by blocks of its last axis."""
    weight, scale_node, block, low, high = node.args
    grid, scales, value = grid_of(node), constant_value(scale_node), emission.value(weight)
    assert grid is not None and scales is not None and isinstance(block, int)
    if value.data is None:
        raise emission.refusal(node, "only constants have blockwise scales")
    steps = scales.numpy().astype(np.float32)
    blocks = value.data.reshape(*steps.shape, block) / steps[..., None]
    integers = np.clip(np.rint(blocks), low, high).astype(np.int8).reshape(value.data.shape)  # type: ignore[arg-type]
    return replace(Value.constant(integers, grid, grid.dtype), block_scales=steps)


@emits(torch.ops.edgekit.fake_quantize_dynamic.default, view=True)
def fake_quantize_dynamic(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """Nothing is written: a hybrid kernel rounds its operand itself."""
    return replace(emission.value(node.args[0]), dynamic=True)


@emits(torch.ops.edgekit.fake_half.default, view=True)
def fake_half(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """Store a constant in half precision."""
    value = emission.value(node.args[0])
    if value.data is None:
        raise emission.refusal(node, "only constants are stored in half precision")
    return Value.constant(value.data.astype(np.float16))
