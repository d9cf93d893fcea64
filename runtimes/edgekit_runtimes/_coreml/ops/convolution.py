"""Convolutions of one, two and three spatial dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from edgekit_runtimes._coreml.arguments import integer, ints
from edgekit_runtimes._coreml.padding import amounts, reversed_flat
from edgekit_runtimes._coreml.registry import op

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@op
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Any = None,
    pad_type: str = "valid",
    pad: Any = None,
    dilations: Any = None,
    groups: Any = 1,
) -> Tensor:
    """Convolution (cross-correlation) of (n, channels, *spatial) with (out, in / groups, *kernel)."""
    rank = x.dim() - 2
    stride, dilation = _per_dimension(strides, rank), _per_dimension(dilations, rank)
    pads = amounts(pad_type, pad, x.shape[2:], _windows(weight, dilation), stride)
    if all(before == after for before, after in pads):
        return _CONVOLUTIONS[rank](x, weight, bias, stride, [before for before, _ in pads], dilation, integer(groups))
    return _CONVOLUTIONS[rank](F.pad(x, reversed_flat(pads)), weight, bias, stride, 0, dilation, integer(groups))


@op
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Any = None,
    output_shape: Any = None,
    pad_type: str = "valid",
    strides: Any = None,
    dilations: Any = None,
    groups: Any = 1,
) -> Tensor:
    """Transposed convolution of (n, channels, *spatial) with (in, out / groups, *kernel); `pad` is cut off the result."""
    rank = x.dim() - 2
    stride, dilation = _per_dimension(strides, rank), _per_dimension(dilations, rank)
    whole = _TRANSPOSED[rank](x, weight, bias, stride, 0, 0, integer(groups), dilation)
    sizes = ints(output_shape)[2:] if output_shape is not None else None
    if sizes is None and pad_type.startswith("same"):
        sizes = [size * step for size, step in zip(x.shape[2:], stride, strict=True)]
    if sizes is None:
        cuts = amounts(pad_type, pad, whole.shape[2:], _windows(weight, dilation), stride)
    else:
        cuts = _cuts(pad_type, pad, whole.shape[2:], sizes)
    return F.pad(whole, reversed_flat([(-before, -after) for before, after in cuts]))


def _cuts(pad_type: str, pad: Any, whole: Any, sizes: list[int]) -> list[tuple[int, int]]:
    """What to cut so that `sizes` remain: where padding is given it is cut at the start, and the rest at the end."""
    if pad_type == "custom" and pad is not None:
        return [(before, full - size - before) for before, full, size in zip(ints(pad)[::2], whole, sizes, strict=True)]
    totals = [full - size for full, size in zip(whole, sizes, strict=True)]
    halves = [(t // 2, t - t // 2) if t >= 0 else (0, t) for t in totals]
    return [(after, before) for before, after in halves] if pad_type == "same_lower" else halves


def _per_dimension(value: Any, rank: int) -> list[int]:
    return [1] * rank if value is None else ints(value)


def _windows(weight: Tensor, dilation: list[int]) -> list[int]:
    return [(kernel - 1) * step + 1 for kernel, step in zip(weight.shape[2:], dilation, strict=True)]
