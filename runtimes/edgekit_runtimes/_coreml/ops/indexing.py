"""Operators that take or put elements at indices. Negative indices count from the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from edgekit_runtimes._coreml.arguments import axis_of, integer, unknown
from edgekit_runtimes._coreml.registry import op


@op
def gather(x: Tensor, indices: Tensor, axis: Any = 0, batch_dims: Any = 0, validate_indices: Any = False) -> Tensor:
    """Slices along an axis, at indices of any shape; leading batch dimensions go together."""
    dim, batch = axis_of(axis, x.dim()), integer(batch_dims)

    def take(values: Tensor, at: Tensor) -> Tensor:
        local = dim - batch
        flat = values.index_select(local, _wrapped(at, values.shape[local]).reshape(-1))
        return flat.reshape(*values.shape[:local], *at.shape, *values.shape[local + 1 :])

    return _mapped(take, batch)(x, indices)


@op
def gather_along_axis(x: Tensor, indices: Tensor, axis: Any = 0, validate_indices: Any = False) -> Tensor:
    """Elements along an axis, each at its own index."""
    dim = axis_of(axis, x.dim())
    return torch.gather(x, dim, _wrapped(indices, x.shape[dim]))


@op
def gather_nd(x: Tensor, indices: Tensor, batch_dims: Any = 0, validate_indices: Any = False) -> Tensor:
    """Slices at tuples of indices, which are along the last axis."""
    return _mapped(lambda values, at: values[_tuple(values, at)], integer(batch_dims))(x, indices)


@op
def scatter(data: Tensor, indices: Tensor, updates: Tensor, axis: Any = 0, mode: str = "add", validate_indices: Any = False) -> Tensor:
    """Slices along an axis combined with updates."""
    dim = axis_of(axis, data.dim())
    places = indices.reshape([-1 if i == dim else 1 for i in range(data.dim())]).expand(updates.shape)
    return scatter_along_axis(data, places, updates, dim, mode)


@op
def scatter_along_axis(
    data: Tensor, indices: Tensor, updates: Tensor, axis: Any = 0, mode: str = "add", validate_indices: Any = False
) -> Tensor:
    """Elements along an axis combined with updates, each at its own index."""
    dim = axis_of(axis, data.dim())
    return _combined(data, dim, _wrapped(indices, data.shape[dim]), updates, mode)


@op
def scatter_nd(data: Tensor, indices: Tensor, updates: Tensor, mode: str = "add", validate_indices: Any = False) -> Tensor:
    """Slices at tuples of indices combined with updates."""
    depth = indices.shape[-1]
    lead, rest = data.shape[:depth], data.shape[depth:]
    linear = torch.zeros(indices.shape[:-1], dtype=torch.long)
    for i, size in enumerate(lead):
        linear = linear * size + _wrapped(indices[..., i], size)
    width = math.prod(rest)
    rows = linear.reshape(-1, 1).expand(-1, width)
    return _combined(data.reshape(-1, width), 0, rows, updates.reshape(-1, width), mode).reshape(data.shape)


@op
def non_zero(x: Tensor) -> Tensor:
    """Indices of the elements that are not zero, a row each."""
    return torch.nonzero(x)


@op
def reverse_sequence(x: Tensor, lengths: Tensor, seq_axis: Any = 0, batch_axis: Any = 0) -> Tensor:
    """The first so many elements of each sequence backwards."""
    along, batch = axis_of(seq_axis, x.dim()), axis_of(batch_axis, x.dim())
    places = torch.arange(x.shape[along]).reshape([-1 if i == along else 1 for i in range(x.dim())])
    ends = lengths.reshape([-1 if i == batch else 1 for i in range(x.dim())]).long()
    return torch.gather(x, along, torch.where(places < ends, ends - 1 - places, places).expand(x.shape))


def _wrapped(indices: Tensor, size: int) -> Tensor:
    wide = indices.long()
    return torch.where(wide < 0, wide + size, wide)


def _tuple(values: Tensor, indices: Tensor) -> tuple[Tensor, ...]:
    return tuple(_wrapped(part, size) for part, size in zip(indices.unbind(-1), values.shape, strict=False))


def _mapped(function: Callable[[Tensor, Tensor], Tensor], dims: int) -> Callable[[Tensor, Tensor], Tensor]:
    for _ in range(dims):
        function = torch.vmap(function)
    return function


_MODES: dict[str, str] = {"add": "sum", "sub": "sum", "mul": "prod", "div": "prod", "max": "amax", "min": "amin"}


def _combined(data: Tensor, dim: int, indices: Tensor, updates: Tensor, mode: str) -> Tensor:
    if mode == "update":
        return data.scatter(dim, indices, updates)
    if mode not in _MODES:
        raise unknown("mode", mode, ("update", *_MODES))
    source = -updates if mode == "sub" else 1 / updates if mode == "div" else updates
    return data.to(source.dtype).scatter_reduce(dim, indices, source, _MODES[mode], include_self=True)
