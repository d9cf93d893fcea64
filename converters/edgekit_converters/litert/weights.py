"""Weights and biases in the form the kernel of each scheme reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.graph import argument
from edgekit.tensors import Grid
from edgekit_converters.litert.emission import Emission, Outcome
from edgekit_converters.litert.values import Value


def weight_tensor(emission: Emission, out: Outcome, data: Value, weight: Value, order: Sequence[int]) -> int:
    """The weight, stored in `order`: integers for integer, hybrid and blockwise kernels, else float, dequantized by an operator."""
    if weight.block_scales is not None and weight.data is not None:
        scales = emission.builder.constant(weight.block_scales.astype(np.float16))
        return emission.builder.constant(weight.data, weight.grid, dtype="int4", scales=scales)
    if out.integer or hybrid(data, weight):
        return emission.stored(weight, order)
    return emission.operand(out, weight, order)


def hybrid(data: Value, weight: Value) -> bool:
    """Whether a kernel rounds its float operand at run time to meet an integer weight."""
    return data.dynamic and data.grid is None and weight.grid is not None


def bias_tensor(emission: Emission, out: Outcome, data: Value, weight: Value, channel_axis: int = 0) -> int:
    """The bias, zeros if there is none; for integer kernels int32 (int64 beside int16 activations) in steps of data × weight."""
    node, count = out.node, weight.shape[channel_axis]
    given = argument(node, "bias")
    value = None if given is None else emission.value(given)
    if value is not None and value.data is None:
        raise emission.refusal(node, "its bias is not a constant", next_step="add it with an add")
    bias = np.zeros(count, np.float32) if value is None or value.data is None else np.asarray(value.data, np.float32)
    if not out.integer:
        return emission.builder.constant(bias)
    assert data.grid is not None and weight.grid is not None
    if weight.grid.axis not in (None, channel_axis):
        why = f"its weight's scales lie along axis {weight.grid.axis}"
        raise emission.refusal(node, why, accepted=f"axis {channel_axis}, the output channels")
    dtype = np.int64 if out.compute == "int16" else np.int32
    scale = np.float32(data.grid.scale[0]) * np.asarray(weight.grid.scale, np.float32)
    info = np.iinfo(dtype)
    steps = np.clip(np.rint(bias / scale.astype(np.float64)), info.min, info.max).astype(dtype)
    grid = Grid(steps.dtype.name, tuple(map(float, scale)), (0,) * len(scale), 0 if len(scale) > 1 else None)
    return emission.builder.constant(steps, grid)
