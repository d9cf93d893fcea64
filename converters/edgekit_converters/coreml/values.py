"""What nodes of the graph are in the program: results of operations, or constants not written yet."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgekit.constraints import Constraint
from edgekit.tensors import Grid

HALF_MAX = 65504.0
HALF_TINY = 2.0**-24


@dataclass(frozen=True)
class Variable:
    """A result of an operation.

    Attributes:
        name: Of the operation.
        shape: Static.
        dtype: ``float16``, ``float32``, ``int32``, ``bool``, ``int8`` or ``uint8``.
        index: Which result, of an operation with several.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    index: int | None = None


@dataclass(frozen=True)
class Constant:
    """A constant of the graph; how it is written is decided where it is read.

    Attributes:
        data: As the graph has it, rounded to `grid` if it has one.
        label: Name in the file.
        module: Path of the user's module it belongs to.
        constraints: What passes imposed on it.
        grid: Integers it lies on, or None.
        limits: Smallest and largest integer of the grid.
        scales: Of a blockwise grid: its scales, shaped like the data with the last axis divided by the block.
        half: Whether it is stored in half precision even where operators compute in float32.
    """

    data: np.ndarray
    label: str = ""
    module: str = ""
    constraints: tuple[Constraint, ...] = ()
    grid: Grid | None = None
    limits: tuple[int, int] = (0, 0)
    scales: np.ndarray | None = field(default=None, compare=False)
    half: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the data."""
        return self.data.shape

    @property
    def dtype(self) -> str:
        """Of the data."""
        return self.data.dtype.name


Value = Variable | Constant


def rounded(data: np.ndarray, dtype: str) -> np.ndarray:
    """Real numbers in a float dtype; in half precision, finite ones stay finite and small ones stay apart from zero.

    A mask of -1e9 would else be minus infinity, of which a softmax makes NaN, and an epsilon of 1e-12 would be none.
    """
    if dtype != "float16" or data.dtype == np.float16:
        return data.astype(dtype)
    half = np.where(np.isfinite(data), np.clip(data, -HALF_MAX, HALF_MAX), data).astype(np.float16)
    if data.size == 1 and data.flat[0] and not half.flat[0]:
        return np.full_like(half, np.copysign(HALF_TINY, data.flat[0]))
    return half
