"""Operators that reorder, cut, join or make tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edgekit_runtimes._coreml.arguments import axis_of, flag, flags, integer, ints, number, unknown
from edgekit_runtimes._coreml.registry import op


@op
def reshape(x: Tensor, shape: Any) -> Tensor:
    """A new shape: -1 takes what is left, 0 keeps the size at its place counted from the last, or is 1 where there is none."""
    sizes = ints(shape)
    kept = [*[1] * (len(sizes) - x.dim()), *x.shape[max(x.dim() - len(sizes), 0) :]]
    return x.reshape([kept[i] if size == 0 else size for i, size in enumerate(sizes)])


@op
def reshape_like(
    x: Tensor, ref_tensors: Sequence[Tensor], begins: Sequence[Tensor], ends: Sequence[Tensor], end_masks: Sequence[Tensor]
) -> Tensor:
    """A shape put together from parts of other tensors' shapes."""
    sizes: list[int] = []
    for tensor, begin, end, mask in zip(ref_tensors, begins, ends, end_masks, strict=True):
        sizes += tensor.shape[integer(begin) : None if flag(mask) else integer(end)]
    return x.reshape(sizes)


@op
def flatten2d(x: Tensor, axis: Any = 1) -> Tensor:
    """Two dimensions: those before the axis, and the rest."""
    split_at = integer(axis) % x.dim() if integer(axis) < 0 else integer(axis)
    return x.reshape(math.prod(x.shape[:split_at]), math.prod(x.shape[split_at:]))


@op
def transpose(x: Tensor, perm: Any) -> Tensor:
    """Dimensions in another order."""
    return x.permute(ints(perm))


@op
def expand_dims(x: Tensor, axes: Any) -> Tensor:
    """New dimensions of size 1; axes count in the result."""
    rank = x.dim() + len(ints(axes))
    for axis in sorted(axis_of(a, rank) for a in ints(axes)):
        x = x.unsqueeze(axis)
    return x


@op
def squeeze(x: Tensor, axes: Any = None) -> Tensor:
    """Without dimensions of size 1."""
    return x.squeeze(tuple(range(x.dim()) if axes is None else ints(axes)))


@op
def concat(values: Sequence[Tensor], axis: Any, interleave: Any = False) -> Tensor:
    """Joined along an axis, one after the other or element by element."""
    if flag(interleave):
        dim = axis_of(axis, values[0].dim())
        return torch.stack(list(values), dim + 1).flatten(dim, dim + 1)
    return torch.cat([v for v in values if v.dim()], integer(axis))


@op
def stack(values: Sequence[Tensor], axis: Any) -> Tensor:
    """Joined along a new axis."""
    return torch.stack(list(values), integer(axis))


@op
def split(x: Tensor, axis: Any, num_splits: Any = None, split_sizes: Any = None) -> tuple[Tensor, ...]:
    """Parts along an axis, equal or of given sizes."""
    dim = axis_of(axis, x.dim())
    sizes = ints(split_sizes) if split_sizes is not None else [x.shape[dim] // integer(num_splits)] * integer(num_splits)
    return torch.split(x, sizes, dim)


@op
def tile(x: Tensor, reps: Any) -> Tensor:
    """Repeated along each axis."""
    return x.repeat(ints(reps))


@op
def reverse(x: Tensor, axes: Any = None) -> Tensor:
    """Backwards along axes."""
    return x.flip(list(range(x.dim())) if axes is None else ints(axes))


@op
def slice_by_index(
    x: Tensor, begin: Any, end: Any, stride: Any = None, begin_mask: Any = None, end_mask: Any = None, squeeze_mask: Any = None
) -> Tensor:
    """``x[begin:end:stride]`` along each axis; a mask opens an end, or takes one element and drops the axis."""
    chosen = _slices(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    for axis, part in enumerate(chosen):
        indices = range(*part.indices(x.shape[axis])) if isinstance(part, slice) else [part % x.shape[axis]]
        x = _taken(x, axis, indices)
    dropped = tuple(axis for axis, part in enumerate(chosen) if isinstance(part, int))
    return x.squeeze(dropped) if dropped else x


@op
def slice_by_size(x: Tensor, begin: Any, size: Any) -> Tensor:
    """So many elements from a start; -1 is all that follow."""
    for axis, (start, count) in enumerate(zip(ints(begin), ints(size), strict=True)):
        first = start % x.shape[axis] if start < 0 else start
        x = x.narrow(axis, first, x.shape[axis] - first if count == -1 else count)
    return x


@op
def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Any,
    end: Any,
    stride: Any = None,
    begin_mask: Any = None,
    end_mask: Any = None,
    squeeze_mask: Any = None,
) -> Tensor:
    """The tensor with a slice replaced; see `slice_by_index`."""
    positions = torch.arange(x.numel()).reshape(x.shape)
    where = slice_by_index(positions, begin, end, stride, begin_mask, end_mask, squeeze_mask).reshape(-1)
    return x.reshape(-1).scatter(0, where, update.reshape(-1).to(x.dtype)).reshape(x.shape)


def _slices(x: Tensor, begin: Any, end: Any, stride: Any, begin_mask: Any, end_mask: Any, squeeze_mask: Any) -> list[slice | int]:
    rank = x.dim()
    starts, ends, steps = ints(begin), ints(end), [1] * rank if stride is None else ints(stride)
    open_starts, open_ends, singles = (flags(mask, rank) for mask in (begin_mask, end_mask, squeeze_mask))
    return [
        starts[i] if singles[i] else slice(None if open_starts[i] else starts[i], None if open_ends[i] else ends[i], steps[i])
        for i in range(rank)
    ]


def _taken(x: Tensor, axis: int, indices: Sequence[int]) -> Tensor:
    if isinstance(indices, range) and indices.step > 0:
        return x[(slice(None),) * axis + (slice(indices.start, max(indices.stop, indices.start), indices.step),)]
    return x.index_select(axis, torch.tensor(list(indices), dtype=torch.long))


@op
def pad(x: Tensor, pad: Any, mode: str = "constant", constant_val: Any = 0.0) -> Tensor:
    """Elements around the last axes: constants, the edge repeated, or the tensor reflected at its edge."""
    if mode not in ("constant", "reflect", "replicate"):
        raise unknown("mode", mode, ("constant", "reflect", "replicate"))
    amounts = ints(pad)
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
    first = x.dim() - len(pairs)
    if mode == "constant":
        flat = [amount for pair in reversed(pairs) for amount in pair]
        return torch.nn.functional.pad(x, flat, value=number(constant_val))
    for axis, (before, after) in enumerate(pairs, first):
        x = x.index_select(axis, _around(x.shape[axis], before, after, mode)) if before or after else x
    return x


def _around(size: int, before: int, after: int, mode: str) -> Tensor:
    """Which elements of an axis a padded axis shows."""
    positions = torch.arange(-before, size + after)
    if mode == "replicate":
        return positions.clamp(0, size - 1)
    if max(before, after) >= size:
        raise ValueError(f"reflection by {max(before, after)} of an axis of {size}")
    return (size - 1) - ((size - 1) - positions.abs()).abs()


@op
def fill(shape: Any, value: Any = 0.0) -> Tensor:
    """A tensor of one value."""
    return torch.full(ints(shape), number(value))


@op
def fill_like(ref_tensor: Tensor, value: Any = 0.0) -> Tensor:
    """A tensor of one value, in another's shape."""
    return torch.full(ref_tensor.shape, number(value))


@op
def range_1d(start: Tensor, end: Tensor, step: Tensor) -> Tensor:
    """``start``, ``start + step``, … below ``end``."""
    return torch.arange(start.item(), end.item(), step.item())


@op
def shape(x: Tensor) -> Tensor:
    """The tensor's sizes."""
    return torch.tensor(x.shape, dtype=torch.int32)


@op
def band_part(x: Tensor, lower: Any = -1, upper: Any = -1) -> Tensor:
    """Zeros outside of a band around the diagonal of the last two axes; a negative width keeps everything."""
    down = torch.arange(x.shape[-2]).unsqueeze(1) - torch.arange(x.shape[-1])
    kept = torch.ones_like(down, dtype=torch.bool)
    if integer(lower) >= 0:
        kept &= down <= integer(lower)
    if integer(upper) >= 0:
        kept &= -down <= integer(upper)
    return torch.where(kept, x, torch.zeros_like(x))


@op
def sliding_windows(x: Tensor, axis: Any, size: Any, stride: Any = 1) -> Tensor:
    """All windows along an axis, on a new axis behind it."""
    dim = axis_of(axis, x.dim())
    return x.unfold(dim, integer(size), integer(stride)).movedim(-1, dim + 1)


@op
def one_hot(indices: Tensor, one_hot_vector_size: Any, axis: Any = -1, on_value: Any = 1, off_value: Any = 0) -> Tensor:
    """Vectors with one value at an index and another elsewhere, along a new axis."""
    dim = axis_of(axis, indices.dim() + 1)
    places = torch.arange(integer(one_hot_vector_size))
    hot = indices.unsqueeze(dim) == places.reshape([-1 if i == dim else 1 for i in range(indices.dim() + 1)])
    on, off = (v if isinstance(v, Tensor) else torch.tensor(v) for v in (on_value, off_value))
    return torch.where(hot, on, off)
