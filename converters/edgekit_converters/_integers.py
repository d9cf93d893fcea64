"""Integers of a grid and the reals they stand for, as every format stores them."""

from __future__ import annotations

import numpy as np

from edgekit.tensors import Grid


def limits(dtype: str) -> tuple[int, int]:
    """Smallest and largest integer of a dtype."""
    if dtype == "int4":
        return -8, 7
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def quantized(array: np.ndarray, grid: Grid, low: int, high: int) -> np.ndarray:
    """Integers of `grid` nearest to `array`, computed exactly as ``torch.fake_quantize`` does (float32, by the reciprocal scale)."""
    shape = [1] * array.ndim
    if grid.axis is not None:
        shape[grid.axis] = -1
    inverse = (np.float32(1) / np.asarray(grid.scale, np.float32)).reshape(shape)
    zero = np.asarray(grid.zero_point, np.float32).reshape(shape)
    steps = np.asarray(np.multiply(array, inverse, dtype=np.float32))  # numpy makes 0-d results scalars
    np.rint(steps, out=steps)
    steps += zero
    np.clip(steps, low, high, out=steps)
    return steps.astype(np.int8 if grid.dtype == "int4" else grid.dtype)


def dequantized(array: np.ndarray, grid: Grid) -> np.ndarray:
    """Real numbers that integers stand for, float32."""
    shape = [1] * array.ndim
    if grid.axis is not None:
        shape[grid.axis] = -1
    scale = np.asarray(grid.scale, np.float32).reshape(shape)
    return (array.astype(np.float32) - np.asarray(grid.zero_point, np.float32).reshape(shape)) * scale
