"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from edgekit_runtimes._coreml.arguments import axis_of, flag, integer, ints, real
from edgekit_runtimes._coreml.registry import op, register

Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in reversed(axes):
        x = x.prod(axis, keepdim=keep)
    return x


_REDUCTIONS: dict[str, Reduction] = {
    "reduce_sum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
    "reduce_mean": lambda x, axes, keep: real(x).mean(axes, keepdim=keep),
    "reduce_max": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "reduce_min": lambda x, axes, keep: x.amin(axes, keepdim=keep),
    "reduce_prod": _product,
    "reduce_l1_norm": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "reduce_l2_norm": lambda x, axes, keep: real(x).square().sum(axes, keepdim=keep).sqrt(),
    "reduce_log_sum": lambda x, axes, keep: real(x).sum(axes, keepdim=keep).log(),
    "reduce_log_sum_exp": lambda x, axes, keep: torch.logsumexp(real(x), axes, keepdim=keep),
    "reduce_sum_square": lambda x, axes, keep: x.square().sum(axes, keepdim=keep),
}


def _reduction(function: Reduction) -> Callable[..., Tensor]:
    def reduce(x: Tensor, axes: Any = None, keep_dims: Any = False) -> Tensor:
        dims = sorted(axis_of(a, x.dim()) for a in (range(x.dim()) if axes is None else ints(axes)))
        return function(x, dims, flag(keep_dims)) if dims else function(x.unsqueeze(0), [0], False)

    return reduce


for _name, _function in _REDUCTIONS.items():
    register(_name, _reduction(_function), "reduction")


@op
def reduce_argmax(x: Tensor, axis: Any = -1, keep_dims: Any = False, output_dtype: str = "int32") -> Tensor:
    """Index of the largest element, the first of equals."""
    return x.argmax(integer(axis), keepdim=flag(keep_dims))


@op
def reduce_argmin(x: Tensor, axis: Any = -1, keep_dims: Any = False, output_dtype: str = "int32") -> Tensor:
    """Index of the smallest element, the first of equals."""
    return x.argmin(integer(axis), keepdim=flag(keep_dims))


@op
def cumsum(x: Tensor, axis: Any = 0, exclusive: Any = False, reverse: Any = False) -> Tensor:
    """Running sums along an axis."""
    dim = axis_of(axis, x.dim())
    forward = x.flip(dim) if flag(reverse) else x
    sums = forward.cumsum(dim)
    sums = sums - forward if flag(exclusive) else sums
    return sums.flip(dim) if flag(reverse) else sums


@op
def argsort(x: Tensor, axis: Any = -1, ascending: Any = False) -> Tensor:
    """Indices that sort along an axis."""
    return torch.argsort(x, stable=True, dim=axis_of(axis, x.dim()), descending=not flag(ascending))


@op
def topk(
    x: Tensor,
    k: Any = 1,
    axis: Any = -1,
    ascending: Any = False,
    sort: Any = True,
    return_indices: Any = True,
    output_indices_dtype: str = "int32",
) -> tuple[Tensor, ...]:
    """The largest (or smallest) elements in order, the first of equals first, and where they are."""
    dim, count = axis_of(axis, x.dim()), integer(k)
    order = torch.argsort(x, stable=True, dim=dim, descending=not flag(ascending))
    chosen = order.narrow(dim, 0, x.shape[dim] if count == -1 else count)
    values = torch.gather(x, dim, chosen)
    return (values, chosen) if flag(return_indices) else (values,)
