"""From a range to an integer grid that every kernel accepts, whatever the range."""

from __future__ import annotations

import math
import struct

from edgekit.tensors import Grid

LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767), "int4": (-8, 7)}
"""Smallest and largest integer of a dtype."""

SMALLEST_SCALE = 2.0**-100
"""Below this, a product of two scales (a bias's) is no normal float32."""

LARGEST_SCALE = 2.0**96
"""Above this, a product of two scales overflows float32."""


def single(value: float) -> float:
    """The nearest float32: what a file stores."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def levels(dtype: str, symmetric: bool) -> int:
    """Steps between the ends of the integer range: 255 for int8, 254 if it must be symmetric."""
    low, high = LIMITS[dtype]
    return 2 * high if symmetric else high - low


def grid(low: float, high: float, dtype: str, *, symmetric: bool) -> Grid:
    """The grid over ``[low, high]``, widened to include 0, which it holds exactly.

    Args:
        low: Lowest value to hold.
        high: Highest value to hold.
        dtype: ``int8`` or ``int16``.
        symmetric: Whether the zero point must be 0.
    """
    first, last = LIMITS[dtype]
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        return Grid(dtype, (_bounded(max(-low, high) / last),), (0,))
    scale = _bounded((high - low) / (last - first))
    zero_point = round(first - low / scale)
    return Grid(dtype, (scale,), (min(max(zero_point, first), last),))


def rescaled(old: Grid, scale: float) -> Grid:
    """`old` with a wider scale and the zero point that keeps its range inside."""
    first, _ = LIMITS[old.dtype]
    low = (first - old.zero_point[0]) * old.scale[0]
    scale = _bounded(scale)
    zero_point = 0 if old.zero_point[0] == 0 else round(first - low / scale)
    return Grid(old.dtype, (scale,), (max(zero_point, first),))


def ends(of: Grid) -> tuple[float, float]:
    """The lowest and the highest value a per-tensor grid holds."""
    first, last = LIMITS[of.dtype]
    return (first - of.zero_point[0]) * of.scale[0], (last - of.zero_point[0]) * of.scale[0]


def saturates_at(of: Grid, low: float | None, high: float | None) -> bool:
    """Whether rounding to the grid clamps to ``[low, high]`` by itself."""
    first, last = LIMITS[of.dtype]
    scale, zero = of.scale[0], of.zero_point[0]
    low_holds = low is None or round(low / scale) + zero <= first
    return low_holds and (high is None or round(high / scale) + zero >= last)


def _bounded(scale: float) -> float:
    if not math.isfinite(scale):
        scale = LARGEST_SCALE
    return single(min(max(scale, SMALLEST_SCALE), LARGEST_SCALE))
