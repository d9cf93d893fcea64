"""Layouts: how a logical tensor lies in storage, so that permutes and reshapes cost nothing until they must.

A stored tensor is a sequence of *axes*, major to minor. A logical dimension is a product of some of them. `permute` reorders the
dimensions, `reshape` regroups (and where needed splits) the axes; neither moves a byte. Only a consumer that needs the
dimensions in a given order makes the emitter write a TRANSPOSE, and then one for the whole chain of permutes and reshapes
before it. ``(N, C, H, W)`` kept channels-last is::

    Layout(axes=(N, H, W, C), dims=((0,), (3,), (1,), (2,)))

Axes of size 1 are never written down: a dimension of size 1 is the empty product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Storage axes and the logical dimensions made of them.

    Attributes:
        axes: Sizes of the storage axes, major to minor; none is 1.
        dims: For each logical dimension the indices of its axes, major to minor.
    """

    axes: tuple[int, ...]
    dims: tuple[tuple[int, ...], ...]

    @classmethod
    def stored(cls, shape: Sequence[int], order: Sequence[int] | None = None) -> Layout:
        """A tensor of logical `shape` whose dimensions are stored in `order` (default: as they come)."""
        order = tuple(range(len(shape))) if order is None else order
        kept = [d for d in order if shape[d] != 1]
        where = {d: (i,) for i, d in enumerate(kept)}
        return cls(tuple(shape[d] for d in kept), tuple(where.get(d, ()) for d in range(len(shape))))

    @property
    def shape(self) -> tuple[int, ...]:
        """The logical shape."""
        return tuple(math.prod(self.axes[a] for a in dim) for dim in self.dims)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.axes)

    def permute(self, dims: Sequence[int]) -> Layout:
        """The logical tensor with its dimensions reordered as ``torch.permute`` does."""
        return Layout(self.axes, tuple(self.dims[d] for d in dims))

    def expand_rank(self, rank: int) -> Layout:
        """The same tensor with dimensions of size 1 in front, as broadcasting sees it."""
        return Layout(self.axes, ((),) * (rank - len(self.dims)) + self.dims)

    def sequence(self, order: Sequence[int]) -> tuple[int, ...]:
        """The axes in the sequence that storing the dimensions in `order` would give them."""
        return tuple(a for d in order for a in self.dims[d])

    def reshape(self, shape: Sequence[int]) -> Layout | None:
        """The logical tensor seen in another shape, or None if storage order forbids a view."""
        if 0 in self.axes:
            return Layout.stored(shape) if math.prod(shape) == 0 else None
        merged = self._merged(self.sequence(range(len(self.dims))))
        pending = [(piece, math.prod(self.axes[a] for a in piece)) for piece in merged]
        parts: dict[tuple[int, ...], list[int]] = {piece: [] for piece in merged}  # sizes each merged axis splits into
        dims: list[list[tuple[tuple[int, ...], int]]] = []
        for size in shape:
            dim: list[tuple[tuple[int, ...], int]] = []
            while size != 1:
                piece, have = pending.pop(0)
                take = have if size % have == 0 else size if have % size == 0 else 0
                if not take:
                    return None
                if have != take:
                    pending.insert(0, (piece, have // take))
                dim.append((piece, len(parts[piece])))
                parts[piece].append(take)
                size //= take  # noqa: PLW2901
            dims.append(dim)
        number: dict[tuple[tuple[int, ...], int], int] = {}
        axes: list[int] = []
        for piece in sorted(merged):  # storage order: pieces are ascending runs of axis indices
            for part, size in enumerate(parts[piece]):
                number[piece, part] = len(axes)
                axes.append(size)
        return Layout(tuple(axes), tuple(tuple(number[key] for key in dim) for dim in dims)).simplified()

    def simplified(self) -> Layout:
        """The same layout with axes merged that no dimension separates."""
        pieces = sorted(piece for dim in self.dims for piece in self._merged(dim))
        index = {piece: i for i, piece in enumerate(pieces)}
        axes = tuple(math.prod(self.axes[a] for a in piece) for piece in pieces)
        return Layout(axes, tuple(tuple(index[piece] for piece in self._merged(dim)) for dim in self.dims))

    def order(self, shape: Sequence[int] | None = None) -> tuple[int, ...] | None:
        """The order in which the dimensions lie in storage; None if they are interleaved.

        Dimensions of size 1 lie nowhere in particular: they are placed so that the result agrees with the stored tensor's
        `shape` if it can, else in front.
        """
        if any(len(dim) > 1 for dim in self.simplified().dims):
            return None
        full = sorted((d for d, dim in enumerate(self.dims) if dim), key=lambda d: self.dims[d])
        ones = [d for d, dim in enumerate(self.dims) if not dim]
        if shape is not None and len(shape) == len(self.dims) and sum(s == 1 for s in shape) == len(ones):
            rest, free = iter(full), iter(ones)
            return tuple(next(free) if size == 1 else next(rest) for size in shape)
        return (*ones, *full)

    def _merged(self, sequence: Sequence[int]) -> list[tuple[int, ...]]:
        """`sequence` cut into runs of axes that are also neighbours in storage."""
        runs: list[tuple[int, ...]] = []
        for axis in sequence:
            if runs and runs[-1][-1] == axis - 1:
                runs[-1] = (*runs[-1], axis)
            else:
                runs.append((axis,))
        return runs

    def runs(self, order: Sequence[int]) -> list[tuple[int, ...]]:
        """The axes in `order`, cut into runs that keep their storage order: what a TRANSPOSE must move as blocks."""
        return self._merged(self.sequence(order))
