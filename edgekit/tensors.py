"""What a tensor is at the edge of a model: its name, shape, dtype and, if quantized, its integer grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

DTYPES = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")


@dataclass(frozen=True)
class Grid:
    """The integers a tensor is rounded to: ``real = scale * (integer - zero_point)``.

    Attributes:
        dtype: ``int8``, ``uint8``, ``int16``, ``int4`` or ``int32``.
        scale: One value, or one a channel of `axis`.
        zero_point: As many as `scale`.
        axis: The channel axis of a per-channel grid, else None.
        block: Input channels (axis 1) of a weight that share a scale, with all that lies behind them, else None.
    """

    dtype: str
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None
    block: int | None = None

    def to_integers(self, values: np.ndarray) -> np.ndarray:
        """Round real values to the grid (ties to even, saturating), in the grid's dtype."""
        import numpy as np  # noqa: PLC0415 - the rest of this module is free of it

        scale, zero_point = self._aligned(values.ndim)
        limits = np.iinfo(self.dtype)
        integers: np.ndarray = np.clip(np.rint(np.nan_to_num(values) / scale) + zero_point, limits.min, limits.max).astype(self.dtype)
        return integers

    def to_reals(self, integers: np.ndarray) -> np.ndarray:
        """The real values of integers of the grid, float32."""
        import numpy as np  # noqa: PLC0415

        scale, zero_point = self._aligned(integers.ndim)
        reals: np.ndarray = ((integers.astype(np.float64) - zero_point) * scale).astype(np.float32)
        return reals

    def _aligned(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np  # noqa: PLC0415

        shape = [1] * rank
        if self.axis is not None:
            shape[self.axis] = len(self.scale)
        scale, zero_point = np.array(self.scale, np.float32).astype(np.float64), np.array(self.zero_point, np.float64)
        return (scale[0], zero_point[0]) if self.axis is None else (scale.reshape(shape), zero_point.reshape(shape))

    def to_json(self) -> dict[str, Any]:
        """The manifest's form."""
        return {"dtype": self.dtype, "scale": list(self.scale), "zero_point": list(self.zero_point), "axis": self.axis}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Grid:
        """Inverse of `to_json`."""
        return cls(data["dtype"], tuple(data["scale"]), tuple(data["zero_point"]), data.get("axis"))


@dataclass(frozen=True)
class TensorSpec:
    """A model input or output.

    Attributes:
        name: The user's name for it; it survives into the artifact's signature.
        shape: Static sizes, batch first.
        dtype: One of `DTYPES`.
        grid: The integer grid, for a quantized input or output of an artifact.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    grid: Grid | None = None

    def to_json(self) -> dict[str, Any]:
        """The manifest's form."""
        grid = self.grid.to_json() if self.grid else None
        return {"name": self.name, "shape": list(self.shape), "dtype": self.dtype, "grid": grid}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorSpec:
        """Inverse of `to_json`."""
        grid = Grid.from_json(data["grid"]) if data.get("grid") else None
        return cls(data["name"], tuple(data["shape"]), data["dtype"], grid)
