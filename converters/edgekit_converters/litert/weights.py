"""Weights and biases in the form the kernel of each scheme reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import fx

from edgekit.graph import argument
from edgekit.tensors import Grid
from edgekit_converters.litert.emission import Emission, Outcome
from edgekit_converters.litert.values import Value


def weight_tensor(emission: Emission, out: Outcome, data: Value, weight: Value, order: Sequence[int]) -> int:
    """The weight, stored in `order`: integers for integer and hybrid kernels; else float, dequantized by an operator if it is compressed."""
    if out.integer or hybrid(data, weight):
        return emission.stored(weight, order)
    return emission.operand(out, weight, order)


def hybrid(data: Value, weight: Value) -> bool:
    """Whether a kernel rounds its float operand at run time to meet an integer weight."""
    return data.dynamic and data.grid is None and weight.grid is not None


def bias_tensor(emission: Emission, node: fx.Node, out: Outcome, data: Value, weight: Value, count: int, *, channel_axis: int) -> int:
    """The bias, zeros if there is none; for integer kernels int32 (int64 beside int16 activations) in steps of data × weight."""
    given = argument(node, "bias")
    value = None if given is None else emission.value(given)
    if value is not None and value.data is None:
        raise emission.refusal(node, "its bias is not a constant", next_step="add it with an add")
    bias = np.zeros(count, np.float32) if value is None or value.data is None else np.asarray(value.data, np.float32)
    if not out.integer:
        return emission.builder.constant(bias)
    assert data.grid is not None and weight.grid is not None
    if weight.grid.axis not in (None, channel_axis):
        raise emission.refusal(node, f"its weight's scales lie along axis {weight.grid.axis}", accepted=f"axis {channel_axis}, the output channels")
    dtype = np.int64 if out.compute == "int16" else np.int32
    scale = np.float32(data.grid.scale[0]) * np.asarray(weight.grid.scale, np.float32)
    info = np.iinfo(dtype)
    steps = np.clip(np.rint(bias / scale.astype(np.float64)), info.min, info.max).astype(dtype)
    grid = Grid(steps.dtype.name, tuple(map(float, scale)), (0,) * len(scale), 0 if len(scale) > 1 else None)
    return emission.builder.constant(steps, grid)
