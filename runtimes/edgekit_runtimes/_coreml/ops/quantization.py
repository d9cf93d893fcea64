"""Rounding to integers and back (iOS 17), and the choice of a class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from edgekit_runtimes._coreml.arguments import along, integer, unknown
from edgekit_runtimes._coreml.registry import op

_LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int4": (-8, 7), "uint4": (0, 15)}


@op
def quantize(input: Tensor, scale: Tensor, output_dtype: str, zero_point: Tensor | None = None, axis: Any = None) -> Tensor:
    """``round(input / scale) + zero_point``, saturating; ties to even."""
    if output_dtype not in _LIMITS:
        raise unknown("output_dtype", output_dtype, _LIMITS)
    steps, zero = _aligned(input, scale, zero_point, axis)
    return torch.clamp(torch.round(input / steps) + zero, *_LIMITS[output_dtype])


@op
def dequantize(input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: Any = None) -> Tensor:
    """``(input - zero_point) * scale``."""
    steps, zero = _aligned(input, scale, zero_point, axis)
    return (input.to(torch.float32) - zero) * steps


def _aligned(x: Tensor, scale: Tensor, zero_point: Tensor | None, axis: Any) -> tuple[Tensor, Tensor]:
    zero = torch.zeros((), dtype=torch.float32) if zero_point is None else zero_point.to(torch.float32)
    vectors = (scale, zero)
    if axis is None:
        return vectors
    steps, zeros = (along(v, x.dim(), integer(axis)) if v.dim() else v for v in vectors)
    return steps, zeros


@op
def classify(probabilities: Tensor, classes: Any) -> tuple[Tensor, Tensor]:
    """The index of the most probable class, and the probabilities; `edges` puts the labels to them."""
    return probabilities.reshape(-1).argmax(), probabilities
