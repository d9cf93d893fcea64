"""Constants on integer grids: affine before iOS 18, with scales for blocks and sparse from then on."""

from __future__ import annotations

import numpy as np

from edgekit.constraints import Mask
from edgekit.tensors import Grid
from edgekit_converters.coreml.emission import Emission
from edgekit_converters.coreml.program import Narrow
from edgekit_converters.coreml.values import Constant, Variable

GROUPED_FORMS = "grouped palettes"
"""The feature that came with the newer operators for all compressed constants."""


def worth_masking(bits: int) -> float:
    """Share of zeros above which a bit mask and the rest take less room than all values of so many bits."""
    return 1 / bits


def write_integers(emission: Emission, constant: Constant, mask: Mask | None) -> Variable:
    """Integers of the constant's grid; `mask` makes them sparse where that pays."""
    assert constant.grid is not None
    grid = constant.grid
    steps = integers(constant)
    scale, zero = laid(constant, grid)
    scale, zero = scale.astype(emission.compute), zero.astype(steps.dtype)
    offsets = spread(zero.astype(np.int32), steps.shape)
    values = (steps.astype(np.int32) - offsets).astype(emission.compute) * spread(scale, steps.shape)
    narrow = grid.dtype in ("int4", "uint4")
    emission.platform.need("int4 weights" if narrow else "int8 weights", module=constant.module)
    sparse = mask is not None and not zero.any() and mask.sparsity > worth_masking(4 if narrow else 8)
    if sparse and emission.platform.has("sparse int8 weights"):
        return _sparse_integers(emission, constant, steps, scale, values)
    if not emission.platform.has(GROUPED_FORMS):
        return _affine(emission, constant, steps=steps, scale=scale, zero=zero, values=values)
    offset = _stored(zero, grid) if zero.any() else None
    return emission.constant_op(constant, "constexpr_blockwise_shift_scale", values, data=_stored(steps, grid), scale=scale, offset=offset)


def integers(constant: Constant) -> np.ndarray:
    """The integers behind a constant that its fake-quantize node rounded: uint8 for unsigned grids, else int8."""
    assert constant.grid is not None
    scale, zero = laid(constant, constant.grid)
    low, high = constant.limits
    steps = np.rint(constant.data / spread(scale, constant.data.shape)) + spread(zero, constant.data.shape)
    kept: np.ndarray = np.clip(steps, low, high).astype(np.uint8 if low >= 0 else np.int8)
    return kept


def laid(constant: Constant, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Scales and zero points with the rank of the data."""
    rank = constant.data.ndim
    if constant.scales is not None:
        return constant.scales.astype(np.float32), np.zeros(constant.scales.shape, np.int32)
    shape = [1] * rank
    if grid.axis is not None:
        shape[grid.axis] = len(grid.scale)
    return np.array(grid.scale, np.float32).reshape(shape), np.array(grid.zero_point, np.int32).reshape(shape)


def spread(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Each value repeated over its block of elements."""
    for axis, size in enumerate(shape):
        if values.shape[axis] not in (1, size):
            values = np.repeat(values, size // values.shape[axis], axis)
    return values


def _stored(steps: np.ndarray, grid: Grid) -> np.ndarray | Narrow:
    return Narrow(steps, grid.dtype) if grid.dtype in ("int4", "uint4") else steps


def _affine(
    emission: Emission, constant: Constant, *, steps: np.ndarray, scale: np.ndarray, zero: np.ndarray, values: np.ndarray
) -> Variable:
    """The form before iOS 18: a scale for the whole tensor or for each index of one axis."""
    assert constant.grid is not None
    axis = constant.grid.axis or 0
    flat, zeros = (a.reshape(()) if constant.grid.axis is None else a.ravel() for a in (scale, zero))
    if not zeros.any():
        zeros = zeros.ravel()[0]
    return emission.constant_op(
        constant, "constexpr_affine_dequantize", values, quantized_data=steps, zero_point=zeros, scale=flat, axis=np.int32(axis)
    )


def _sparse_integers(emission: Emission, constant: Constant, steps: np.ndarray, scale: np.ndarray, values: np.ndarray) -> Variable:
    assert constant.grid is not None
    kept = steps != 0
    mask, data = emission.ops(
        "constexpr_sparse_blockwise_shift_scale",
        [(steps.shape, "uint1"), ((int(kept.sum()),), emission.compute)],
        data_mask=Narrow(kept.astype(np.uint8), "uint1"),
        nonzero_data=_stored(steps[kept], constant.grid),
        scale=scale,
    )
    return emission.constant_op(constant, "constexpr_sparse_to_dense", values, nonzero_data=data, mask=mask)
