"""Operators on images: blocks of pixels moved to channels and back, crops, and sampling at computed places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit_runtimes._coreml.arguments import flag, integer, ints, number, unknown
from edgekit_runtimes._coreml.ops.resize import positions
from edgekit_runtimes._coreml.registry import op


@op
def pixel_shuffle(x: Tensor, upscale_factor: Any) -> Tensor:
    """Channels to pixels, in PyTorch's order."""
    return F.pixel_shuffle(x, integer(upscale_factor))


@op
def pixel_unshuffle(x: Tensor, downscale_factor: Any) -> Tensor:
    """Pixels to channels, in PyTorch's order."""
    return F.pixel_unshuffle(x, integer(downscale_factor))


@op
def depth_to_space(x: Tensor, block_size: Any) -> Tensor:
    """Channels to pixels, in TensorFlow's order: channel (i * block + j) * C + c becomes pixel (i, j) of channel c."""
    n, channels, height, width = x.shape
    block = integer(block_size)
    pixels = x.reshape(n, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return pixels.reshape(n, channels // block**2, height * block, width * block)


@op
def space_to_depth(x: Tensor, block_size: Any) -> Tensor:
    """Pixels to channels, in TensorFlow's order."""
    n, channels, height, width = x.shape
    block = integer(block_size)
    pixels = x.reshape(n, channels, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return pixels.reshape(n, channels * block**2, height // block, width // block)


@op
def space_to_batch(x: Tensor, block_shape: Any, paddings: Any) -> Tensor:
    """Blocks of pixels to the batch."""
    (rows, columns), (top, bottom, left, right) = ints(block_shape), ints(paddings)
    padded = F.pad(x, [left, right, top, bottom])
    n, channels, height, width = padded.shape
    blocks = padded.reshape(n, channels, height // rows, rows, width // columns, columns).permute(3, 5, 0, 1, 2, 4)
    return blocks.reshape(n * rows * columns, channels, height // rows, width // columns)


@op
def batch_to_space(x: Tensor, block_shape: Any, crops: Any) -> Tensor:
    """The batch to blocks of pixels."""
    (rows, columns), (top, bottom, left, right) = ints(block_shape), ints(crops)
    n, channels, height, width = x.shape
    blocks = x.reshape(rows, columns, n // (rows * columns), channels, height, width).permute(2, 3, 4, 0, 5, 1)
    whole = blocks.reshape(n // (rows * columns), channels, height * rows, width * columns)
    return F.pad(whole, [-left, -right, -top, -bottom])


@op
def crop(x: Tensor, crop_height: Any, crop_width: Any) -> Tensor:
    """Without so many rows and columns at the edges."""
    (top, bottom), (left, right) = ints(crop_height), ints(crop_width)
    return F.pad(x, [-left, -right, -top, -bottom])


@op
def resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Any,
    coordinates_mode: str,
    align_corners: Any,
) -> Tensor:
    """The image (n, channels, height, width) at coordinates (n, rows, columns, 2), which are (x, y)."""
    across = _pixels(coordinates[..., 0], x.shape[3], coordinates_mode, flag(align_corners))
    down = _pixels(coordinates[..., 1], x.shape[2], coordinates_mode, flag(align_corners))
    if padding_mode not in _FOLDS:
        raise unknown("padding_mode", padding_mode, _FOLDS)
    fold = _FOLDS[padding_mode]
    if sampling_mode == "nearest":
        return _picked(x, fold(down, x.shape[2]).round(), fold(across, x.shape[3]).round(), number(padding_value))
    if sampling_mode != "bilinear":
        raise unknown("sampling_mode", sampling_mode, ("bilinear", "nearest"))
    return _interpolated(x, fold(down, x.shape[2]), fold(across, x.shape[3]), number(padding_value))


@op
def affine(
    x: Tensor,
    transform_matrix: Tensor,
    output_height: Any,
    output_width: Any,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Any,
    coordinates_mode: str,
    align_corners: Any,
) -> Tensor:
    """The image at places that an affine transformation of the result's coordinates gives."""
    corners = flag(align_corners)
    rows, columns = (_normalized(integer(size), corners) for size in (output_height, output_width))
    down, across = torch.meshgrid(rows, columns, indexing="ij")
    matrix = transform_matrix.expand(x.shape[0], 6).reshape(-1, 2, 1, 1, 3)
    grid = (matrix * torch.stack([across, down, torch.ones_like(down)], -1)).sum(-1).movedim(1, -1)
    return resample(x, grid, sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners)


@op
def crop_resize(
    x: Tensor,
    boxes: Tensor | None = None,
    box_indices: Tensor | None = None,
    target_height: Any = 1,
    target_width: Any = 1,
    normalized_coordinates: Any = False,
    spatial_scale: Any = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: Any = 0.0,
    roi: Tensor | None = None,
) -> Tensor:
    """Boxes cut out of images (n, channels, height, width) and resized, interpolated; iOS 17 gives ``boxes``, earlier ones ``roi``."""
    if boxes is None:
        if roi is None:
            raise ValueError("there are no boxes")
        return _regions(
            x, roi, target_height, target_width, normalized_coordinates, spatial_scale, box_coordinate_mode, sampling_mode, pad_value
        )
    indices = ints(torch.arange(len(boxes)) if box_indices is None else box_indices)
    edges = _edges(boxes, x, box_coordinate_mode, flag(normalized_coordinates), number(spatial_scale))
    sizes = (integer(target_height), integer(target_width))
    return torch.cat([_cut(x[i : i + 1], box, sizes, sampling_mode, number(pad_value)) for i, box in zip(indices, edges, strict=True)])


def _regions(x: Tensor, roi: Tensor, height: Any, width: Any, *options: Any) -> Tensor:
    """As of iOS 16: five values name an image and its box; four are a box for all images."""
    normalized, scale, order, sampling, value = options
    rows = roi.reshape(len(roi), -1)
    named = rows.shape[1] == 5
    parts = []
    for row in rows:
        images = [integer(row[0])] if named else list(range(len(x)))
        boxes = row[-4:].expand(len(images), 4)
        parts.append(crop_resize(x, boxes, torch.tensor(images), height, width, normalized, scale, order, sampling, value))
    return torch.stack(parts)


_ORDERS: dict[str, Callable[[Tensor], list[Tensor]]] = {
    "CORNERS_HEIGHT_FIRST": lambda b: [b[:, 0], b[:, 1], b[:, 2], b[:, 3]],
    "CORNERS_WIDTH_FIRST": lambda b: [b[:, 1], b[:, 0], b[:, 3], b[:, 2]],
    "CENTER_SIZE_HEIGHT_FIRST": lambda b: [b[:, 0] - b[:, 2] / 2, b[:, 1] - b[:, 3] / 2, b[:, 0] + b[:, 2] / 2, b[:, 1] + b[:, 3] / 2],
    "CENTER_SIZE_WIDTH_FIRST": lambda b: [b[:, 1] - b[:, 3] / 2, b[:, 0] - b[:, 2] / 2, b[:, 1] + b[:, 3] / 2, b[:, 0] + b[:, 2] / 2],
}
"""Boxes as top, left, bottom, right."""


def _edges(boxes: Tensor, x: Tensor, order: str, normalized: bool, scale: float) -> Tensor:
    if order not in _ORDERS:
        raise unknown("box_coordinate_mode", order, _ORDERS)
    edges = torch.stack(_ORDERS[order](boxes.to(torch.float32)), 1) * scale
    return edges * torch.tensor([x.shape[2] - 1, x.shape[3] - 1] * 2) if normalized else edges


def _cut(image: Tensor, box: Tensor, sizes: tuple[int, int], mode: str, value: float) -> Tensor:
    places = []
    for axis, size in enumerate(sizes):
        start, end = float(box[axis]), float(box[axis + 2])
        places.append(start + _inside(mode, end - start, size))
    down, across = torch.meshgrid(*places, indexing="ij")
    inside = (down >= 0) & (down <= image.shape[2] - 1) & (across >= 0) & (across <= image.shape[3] - 1)
    found = _interpolated(image, down.unsqueeze(0), across.unsqueeze(0), value)
    return torch.where(inside, found, torch.full_like(found, value))


def _inside(mode: str, length: float, size: int) -> Tensor:
    """Places along a box edge of `length` pixel steps: as `positions` of a source of `length + 1` pixels, fractions allowed."""
    steps = torch.arange(size, dtype=torch.float32)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        middle = length / 2 if mode == "ALIGN_CORNERS" else 0.0
        return steps * (length / (size - 1)) if size > 1 else torch.tensor([middle])
    if mode == "DEFAULT":
        return steps * (length + 1) / size
    if mode == "OFFSET_CORNERS":
        return (steps + 0.5) * max(1.0, length) / size
    if mode == "UNALIGN_CORNERS":
        return (steps + 0.5) * (length + 1) / size - 0.5
    return positions(mode, 1, 1)  # raises


def _normalized(size: int, corners: bool) -> Tensor:
    """The result's own coordinates from -1 to 1."""
    return torch.linspace(-1, 1, size) if corners else (2 * torch.arange(size) + 1) / size - 1


def _pixels(coordinate: Tensor, size: int, mode: str, corners: bool) -> Tensor:
    """A coordinate in pixels, 0 the centre of the first."""
    if mode == "unnormalized":
        return coordinate.to(torch.float32)
    if mode not in ("normalized_minus_one_to_one", "normalized_zero_to_one"):
        raise unknown("coordinates_mode", mode, ("unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"))
    share = (coordinate + 1) / 2 if mode == "normalized_minus_one_to_one" else coordinate
    return share * (size - 1) if corners else share * size - 0.5


def _reflected(place: Tensor, size: int) -> Tensor:
    period = 2 * (size - 1)
    return (size - 1) - ((place.remainder(period)) - (size - 1)).abs() if period else torch.zeros_like(place)


def _symmetric(place: Tensor, size: int) -> Tensor:
    folded = size - ((place + 0.5).remainder(2 * size) - size).abs() - 0.5
    return folded.clamp(0, size - 1)


_FOLDS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "constant": lambda place, size: place,
    "border": lambda place, size: place.clamp(0, size - 1),
    "reflection": _reflected,
    "symmetric": _symmetric,
}
"""What a place outside of the image stands for."""


def _interpolated(x: Tensor, down: Tensor, across: Tensor, value: float) -> Tensor:
    top, left = down.floor(), across.floor()
    low, near = (down - top).unsqueeze(1), (across - left).unsqueeze(1)
    upper = _picked(x, top, left, value) * (1 - near) + _picked(x, top, left + 1, value) * near
    lower = _picked(x, top + 1, left, value) * (1 - near) + _picked(x, top + 1, left + 1, value) * near
    return upper * (1 - low) + lower * low


def _picked(x: Tensor, row: Tensor, column: Tensor, value: float) -> Tensor:
    """Pixels at whole places of shape (n, rows, columns); `value` outside."""
    n, channels, height, width = x.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
    flat = index.reshape(n, 1, -1).expand(n, channels, -1)
    found = torch.gather(x.reshape(n, channels, -1), 2, flat).reshape(n, channels, *index.shape[1:])
    return torch.where(inside.unsqueeze(1), found, torch.full_like(found, value))
