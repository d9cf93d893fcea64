"""How raw data become a model's input: declared once, applied alike by calibration, verification, profiling and apps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit import declared
from edgekit.errors import DataError, UsageError
from edgekit.tensors import DTYPES

LAYOUTS = ("NHWC", "NCHW")
COLOURS = ("RGB", "BGR", "GRAY")
BT601 = (0.299, 0.587, 0.114)
"""Luma weights of red, green and blue (ITU-R BT.601), as Pillow and OpenCV use them."""


@dataclass(frozen=True)
class Preprocess:
    """Steps from a raw sample to the model's input, in this order.

    ``resize → crop → colour → × scale → (· - mean) / std → layout → dtype``

    The defaults do nothing but cast. Spatial steps need images: height, width and channels as the last three axes.

    Attributes:
        resize: (height, width) in pixels, or one number for the shorter side; bilinear between pixel centres.
        crop: (height, width) of the centre to keep, in pixels.
        colour: What the model wants of RGB data: ``RGB`` as it is, ``BGR`` reversed, ``GRAY`` the BT.601 luma, one channel.
        scale: Factor (1/255 takes bytes to 0…1).
        mean: Subtracted after scaling: one value, or one a channel.
        std: Divisor after that: one value, or one a channel.
        layout: Layout of the model's input, ``NHWC`` or ``NCHW``; None for that of the data.
        data_layout: Layout of the data; image files are ``NHWC``.
        dtype: Of the result.
    """

    resize: int | tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    colour: str = "RGB"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str | None = None
    data_layout: str = "NHWC"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """Refuse steps that mean nothing.

        Raises:
            UsageError: Naming the option, what it got and what it takes.
        """
        if self.colour not in COLOURS:
            raise UsageError(f"preprocess colour is {self.colour!r}", accepted=COLOURS)
        for name in ("layout", "data_layout"):
            if getattr(self, name) not in (*LAYOUTS, *((None,) if name == "layout" else ())):
                raise UsageError(f"preprocess {name} is {getattr(self, name)!r}", accepted=LAYOUTS)
        if self.dtype not in DTYPES:
            raise UsageError(f"preprocess dtype is {self.dtype!r}", accepted=DTYPES)
        sizes = (*_pair(self.resize), *_pair(self.crop))
        if any(not isinstance(s, int) or s < 1 for s in sizes):
            raise UsageError(f"preprocess resize is {self.resize!r}, crop {self.crop!r}", accepted="sizes in pixels, (height, width)")
        if not self.mean or not self.std or not all(self.std):
            raise UsageError(f"preprocess mean is {self.mean!r}, std {self.std!r}", accepted="one number or one a channel, std not 0")

    def __call__(self, data: np.ndarray) -> np.ndarray:
        """Apply to one sample, or to any number of them along leading axes.

        Raises:
            DataError: The data are no images and a step needs some, or the channels do not match `mean` and `std`.
        """
        image = self._spatial_steps(data) if self._is_spatial else data
        if self._is_arithmetic:
            image = self._normalized(np.asarray(image, np.float32), data.shape)
        if self.layout not in (None, self.data_layout):
            _require_image(image, "layout")
            image = np.moveaxis(image, -1, -3) if self.layout == "NCHW" else np.moveaxis(image, -3, -1)
        return np.ascontiguousarray(image, self.dtype)

    def to_json(self) -> dict[str, Any]:
        """The manifest's form; `from_json` reads it back to an equal value."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preprocess:
        """Inverse of `to_json`.

        Raises:
            UsageError: An unknown step, or a value that means nothing.
        """
        return declared.build(cls, data, "preprocess", kind="step")

    @property
    def _is_spatial(self) -> bool:
        return self.resize is not None or self.crop is not None or self.colour != "RGB"

    @property
    def _is_arithmetic(self) -> bool:
        return self.scale != 1 or any(self.mean) or any(s != 1 for s in self.std)

    def _spatial_steps(self, data: np.ndarray) -> np.ndarray:
        _require_image(data, "resize, crop and colour")
        image = data if self.data_layout == "NHWC" else np.moveaxis(data, -3, -1)
        if self.resize is not None:
            image = _resized(image, _target_size(image.shape[-3:-1], self.resize))
        if self.crop is not None:
            image = _cropped(image, self.crop)
        image = _recoloured(image, self.colour)
        return image if self.data_layout == "NHWC" else np.moveaxis(image, -1, -3)

    def _normalized(self, image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        axis = -3 if self.data_layout == "NCHW" and image.ndim >= 3 else -1
        for name in ("mean", "std"):
            count = len(getattr(self, name))
            if count > 1 and (image.ndim == 0 or image.shape[axis] != count):
                raise DataError(f"preprocess {name} has {count} values, but the data of shape {list(shape)} have not {count} channels")
        along = (-1,) + (1,) * (-axis - 1)
        mean, std = (np.asarray(v, np.float32).reshape(along) for v in (self.mean, self.std))
        return (image * np.float32(self.scale) - mean) / std


def _pair(size: int | tuple[int, ...] | None) -> tuple[Any, ...]:
    if size is None:
        return ()
    if isinstance(size, tuple):
        return size if len(size) == 2 else (None,)
    return (size,)


def _require_image(data: np.ndarray, step: str) -> None:
    if data.ndim < 3:
        raise DataError(f"preprocess {step} needs images of height, width and channels, but the data have shape {list(data.shape)}")


def _target_size(shape: tuple[int, ...], size: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(size, tuple):
        return size
    height, width = shape
    shorter = min(height, width)
    return round(height * size / shorter), round(width * size / shorter)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    for axis, target in zip((-3, -2), size, strict=True):
        source = image.shape[axis]
        if source == target:
            continue
        position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
        first = np.floor(position).astype(int)
        second = np.minimum(first + 1, source - 1)
        weight = (position - first).astype(np.float32).reshape((-1,) + (1,) * (-axis - 1))
        rows = np.asarray(image, np.float32)
        image = rows.take(first, axis) * (1 - weight) + rows.take(second, axis) * weight
    return image


def _cropped(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = image.shape[-3:-1]
    if size[0] > height or size[1] > width:
        raise DataError(f"cannot crop {size[0]}x{size[1]} out of an image of {height}x{width}", next_step="resize first, or crop less")
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return image[..., top : top + size[0], left : left + size[1], :]


def _recoloured(image: np.ndarray, colour: str) -> np.ndarray:
    if colour == "RGB" or (colour == "GRAY" and image.shape[-1] == 1):
        return image
    if image.shape[-1] != 3:
        raise DataError(f"preprocess colour {colour} needs RGB data, but the data have {image.shape[-1]} channels")
    if colour == "BGR":
        return image[..., ::-1]
    gray: np.ndarray = (image.astype("float32") * BT601).sum(-1, keepdims=True)
    return gray
