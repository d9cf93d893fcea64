"""Pooling over one, two and three spatial dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit_runtimes._coreml.arguments import flag, ints
from edgekit_runtimes._coreml.padding import amounts, reversed_flat
from edgekit_runtimes._coreml.registry import op

_AVERAGES: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_MAXIMA: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


@op
def avg_pool(
    x: Tensor,
    kernel_sizes: Any,
    strides: Any = None,
    pad_type: str = "valid",
    pad: Any = None,
    exclude_padding_from_average: Any = False,
    ceil_mode: Any = False,
) -> Tensor:
    """Means of windows; padding counts as zeros unless it is excluded."""
    padded, kernel, stride = _windows(x, 0.0, kernel_sizes, strides, pad_type=pad_type, pad=pad, ceil_mode=ceil_mode)
    means = _AVERAGES[x.dim() - 2](padded, kernel, stride)
    if flag(exclude_padding_from_average):
        return means / _share(x, 0.0, kernel_sizes, strides, pad_type=pad_type, pad=pad, ceil_mode=ceil_mode)
    if flag(ceil_mode):  # windows that reach beyond the padding count what is inside of it
        return means / _share(x, 1.0, kernel_sizes, strides, pad_type=pad_type, pad=pad, ceil_mode=ceil_mode)
    return means


@op
def max_pool(x: Tensor, kernel_sizes: Any, strides: Any = None, pad_type: str = "valid", pad: Any = None, ceil_mode: Any = False) -> Tensor:
    """Maxima of windows; padding never wins."""
    padded, kernel, stride = _windows(x, -torch.inf, kernel_sizes, strides, pad_type=pad_type, pad=pad, ceil_mode=ceil_mode)
    return _MAXIMA[x.dim() - 2](padded, kernel, stride)


@op
def l2_pool(x: Tensor, kernel_sizes: Any, strides: Any = None, pad_type: str = "valid", pad: Any = None, ceil_mode: Any = False) -> Tensor:
    """Root of the sum of squares of windows."""
    padded, kernel, stride = _windows(x, 0.0, kernel_sizes, strides, pad_type=pad_type, pad=pad, ceil_mode=ceil_mode)
    count = torch.tensor(kernel).prod()
    return torch.sqrt(_AVERAGES[x.dim() - 2](padded.square(), kernel, stride) * count)


def _windows(
    x: Tensor, fill: float, kernel_sizes: Any, strides: Any, *, pad_type: str, pad: Any, ceil_mode: Any
) -> tuple[Tensor, list[int], list[int]]:
    """The input padded as windows need it, and kernel and stride a dimension."""
    kernel = ints(kernel_sizes)
    stride = [1] * len(kernel) if strides is None else ints(strides)
    pads = amounts(pad_type, pad, x.shape[2:], kernel, stride)
    if flag(ceil_mode):
        pads = [_up(*given) for given in zip(pads, x.shape[2:], kernel, stride, strict=True)]
    return F.pad(x, reversed_flat(pads), value=fill), kernel, stride


def _up(pads: tuple[int, int], size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding that gives the last window all its elements, unless it would start behind the input and its left padding."""
    before, after = pads
    steps = -(-(size + before + after - kernel) // stride)
    steps -= steps * stride >= size + before
    return before, max(steps * stride + kernel - size - before, after)


def _share(x: Tensor, fill: float, kernel_sizes: Any, strides: Any, *, pad_type: str, pad: Any, ceil_mode: Any) -> Tensor:
    """Share of each window that counts: the input, and with `fill` 1 the padding that was asked for as well."""
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype)
    if fill:
        asked = amounts(pad_type, pad, x.shape[2:], ints(kernel_sizes), [1] * (x.dim() - 2) if strides is None else ints(strides))
        ones = F.pad(ones, reversed_flat(asked), value=fill)
        pad_type, pad = "valid", None
    padded, kernel, stride = _windows(ones, 0.0, kernel_sizes, strides, pad_type=pad_type, pad=pad, ceil_mode=ceil_mode)
    return _AVERAGES[x.dim() - 2](padded, kernel, stride)
