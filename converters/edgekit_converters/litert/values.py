"""What a node of the graph is in the file: a stored tensor or a constant, seen through a layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekit.tensors import Grid
from edgekit_converters.litert.layout import Layout


@dataclass(frozen=True)
class Value:
    """A logical tensor in the file.

    Attributes:
        layout: Its logical dimensions and how they lie in storage.
        dtype: Of what is stored: ``float32``, ``float16``, ``int8``, ``int4``, ``int16``, ``int32``, ``bool``…
        grid: Of an integer that stands for a real number, else None.
        tensor: Index of the stored tensor, or -1 for a constant.
        data: A constant, in logical order; its shape is the logical shape.
        dynamic: Consumers with a hybrid kernel round this float to int8 as they run.
        block_scales: Scales of a blockwise constant, (rows, blocks).
    """

    layout: Layout
    dtype: str
    grid: Grid | None = None
    tensor: int = -1
    data: np.ndarray | None = None
    dynamic: bool = False
    block_scales: np.ndarray | None = None

    @classmethod
    def constant(cls, data: np.ndarray, grid: Grid | None = None, dtype: str | None = None) -> Value:
        """A constant; nothing is written until an operator asks for it in some order."""
        return cls(Layout.stored(data.shape), dtype or data.dtype.name, grid, data=data)

    @property
    def shape(self) -> tuple[int, ...]:
        """The logical shape."""
        return self.layout.shape if self.data is None else self.data.shape

    @property
    def rank(self) -> int:
        """Number of logical dimensions."""
        return len(self.layout.dims)

    def permute(self, dims: Sequence[int]) -> Value:
        """The value with its dimensions reordered."""
        if self.data is None:
            return replace(self, layout=self.layout.permute(dims))
        grid = self.grid
        if grid is not None and grid.axis is not None:
            grid = replace(grid, axis=list(dims).index(grid.axis))
        data = self.data.transpose(dims)
        return replace(self, layout=Layout.stored(data.shape), data=data, grid=grid)

    def reshape(self, shape: Sequence[int]) -> Value | None:
        """The value in another shape, or None if its storage order (or its per-channel axis) forbids a view."""
        if self.data is None:
            layout = self.layout.reshape(shape)
            return None if layout is None else replace(self, layout=layout)
        if self.grid is not None and self.grid.axis is not None:
            return None
        data = self.data.reshape(tuple(shape))
        return replace(self, layout=Layout.stored(data.shape), data=data)

    def expand_rank(self, rank: int) -> Value:
        """The value with dimensions of size 1 in front."""
        if self.rank >= rank:
            return self
        if self.data is None:
            return replace(self, layout=self.layout.expand_rank(rank))
        grid = self.grid
        if grid is not None and grid.axis is not None:
            grid = replace(grid, axis=grid.axis + rank - self.rank)
        data = self.data.reshape((1,) * (rank - self.rank) + self.data.shape)
        return replace(self, layout=Layout.stored(data.shape), data=data, grid=grid)
