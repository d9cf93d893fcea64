"""Resizing of the last two axes. Where a result element looks in the source is MIL's ``sampling_mode``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from edgekit_runtimes._coreml.arguments import flag, integer, ints, number, unknown
from edgekit_runtimes._coreml.registry import op


def _default(source: int, target: int) -> Tensor:
    return torch.arange(target) * (source / target)


def _strict(source: int, target: int) -> Tensor:
    return torch.arange(target) * ((source - 1) / (target - 1) if target > 1 else 0.0)


def _aligned(source: int, target: int) -> Tensor:
    return _strict(source, target) if target > 1 else torch.tensor([(source - 1) / 2])


def _offset(source: int, target: int) -> Tensor:
    step = max(1, source - 1) / target
    return (torch.arange(target) + 0.5) * step


def _unaligned(source: int, target: int) -> Tensor:
    return (torch.arange(target) + 0.5) * (source / target) - 0.5


SAMPLING: dict[str, Callable[[int, int], Tensor]] = {
    "DEFAULT": _default,
    "STRICT_ALIGN_CORNERS": _strict,
    "ALIGN_CORNERS": _aligned,
    "OFFSET_CORNERS": _offset,
    "UNALIGN_CORNERS": _unaligned,
}
"""Positions in the source, by mode, for the sizes of source and target."""


def positions(mode: str, source: int, target: int) -> Tensor:
    """Where `target` elements look among `source`, shape (target,).

    Raises:
        ValueError: Another mode.
    """
    if mode not in SAMPLING:
        raise unknown("sampling_mode", mode, SAMPLING)
    return SAMPLING[mode](source, target).to(torch.float64).clamp(0, source - 1)


@op
def upsample_nearest_neighbor(x: Tensor, scale_factor_height: Any = 1, scale_factor_width: Any = 1) -> Tensor:
    """Each element repeated, or the nearest taken where the factor is no integer."""
    return _repeated(x, _scaled(x, scale_factor_height, scale_factor_width))


@op
def resize_nearest_neighbor(x: Tensor, target_size_height: Any, target_size_width: Any) -> Tensor:
    """To a size, the nearest element taken."""
    return _repeated(x, [integer(target_size_height), integer(target_size_width)])


@op
def upsample_bilinear(
    x: Tensor, scale_factor_height: Any = 1, scale_factor_width: Any = 1, align_corners: Any = True, half_pixel_centers: Any = None
) -> Tensor:
    """By factors, interpolated; corners or pixel centres are aligned, or (iOS 16) neither."""
    centres = not flag(align_corners) if half_pixel_centers is None else flag(half_pixel_centers)
    mode = "STRICT_ALIGN_CORNERS" if flag(align_corners) else "UNALIGN_CORNERS" if centres else "DEFAULT"
    return _linear(x, mode, _scaled(x, scale_factor_height, scale_factor_width))


@op
def resize_bilinear(x: Tensor, target_size_height: Any = 1, target_size_width: Any = 1, sampling_mode: str = "DEFAULT") -> Tensor:
    """To a size, interpolated."""
    return _linear(x, sampling_mode, [integer(target_size_height), integer(target_size_width)])


@op
def resize(x: Tensor, shape: Any, resized_dims: Any, interpolation_mode: str = "LINEAR", sampling_mode: str = "DEFAULT") -> Tensor:
    """The last axes to given sizes; 0 keeps one."""
    count = integer(resized_dims)
    wanted = ints(shape)[len(ints(shape)) - count :]
    sizes = [size or x.shape[x.dim() - count + i] for i, size in enumerate(wanted)]
    modes = {"LINEAR": _linear, "NEAREST_NEIGHBOR": _nearest}
    if interpolation_mode not in modes:
        raise unknown("interpolation_mode", interpolation_mode, modes)
    return modes[interpolation_mode](x, sampling_mode, sizes)


def _scaled(x: Tensor, height: Any, width: Any) -> list[int]:
    return [int(x.shape[-2] * number(height)), int(x.shape[-1] * number(width))]


def _linear(x: Tensor, mode: str, sizes: list[int]) -> Tensor:
    for axis, size in enumerate(sizes, x.dim() - len(sizes)):
        source = x.shape[axis]
        if source == size and mode != "OFFSET_CORNERS":
            continue
        at = positions(mode, source, size)
        first = at.floor().long()
        share = (at - first).to(torch.float32).reshape([-1 if i == axis else 1 for i in range(x.dim())])
        low, high = (x.index_select(axis, i) for i in (first, (first + 1).clamp_max(source - 1)))
        x = low * (1 - share) + high * share
    return x


def _nearest(x: Tensor, mode: str, sizes: list[int]) -> Tensor:
    """The element nearest to where `mode` looks, as ``resize`` takes it."""
    return _chosen(x, [(positions(mode, x.shape[i], size) + 0.5).floor() for i, size in enumerate(sizes, x.dim() - len(sizes))])


def _repeated(x: Tensor, sizes: list[int]) -> Tensor:
    """The element at or before where an element looks, as PyTorch and the older operators take it."""
    return _chosen(x, [positions("DEFAULT", x.shape[i], size).floor() for i, size in enumerate(sizes, x.dim() - len(sizes))])


def _chosen(x: Tensor, places: list[Tensor]) -> Tensor:
    for axis, place in enumerate(places, x.dim() - len(places)):
        x = x.index_select(axis, place.long().clamp(0, x.shape[axis] - 1))
    return x
