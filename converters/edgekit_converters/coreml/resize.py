"""Resizing images, exactly as PyTorch places the samples or not at all."""

from __future__ import annotations

import numpy as np
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.coreml.emission import Emission, Result
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.shape import sliced
from edgekit_converters.coreml.values import Value, Variable


@emits(aten.upsample_nearest2d.vec)
def upsample_nearest2d(emission: Emission, node: fx.Node) -> Value:
    """``upsample_nearest_neighbor`` by whole factors, else a ``gather`` of rows and one of columns."""
    x, want = emission.written(node.args[0]), shape_of(node)[2:]
    factors = [w // h for w, h in zip(want, x.shape[2:], strict=True)]
    picks = [_picked(h, w, f) for h, w, f in zip(x.shape[2:], want, _factors(node), strict=True)]
    if all(np.array_equal(p, np.arange(h * f) // max(f, 1)) for p, h, f in zip(picks, x.shape[2:], factors, strict=True)):
        return emission.op("upsample_nearest_neighbor", x=x, scale_factor_height=factors[0], scale_factor_width=factors[1])
    for axis, pick in zip((2, 3), picks, strict=True):
        if not np.array_equal(pick, np.arange(x.shape[axis])):
            shape = (*x.shape[:axis], len(pick), *x.shape[axis + 1 :])
            x = emission.op("gather", Result(shape), x=x, indices=pick, axis=axis)
    return x


@emits(aten.upsample_bilinear2d.vec)
def upsample_bilinear2d(emission: Emission, node: fx.Node) -> Value:
    """``resize_bilinear``, of pixel centres or of corners."""
    x, corners = emission.written(node.args[0]), bool(argument(node, "align_corners"))
    for have, want, factor in zip(x.shape[2:], shape_of(node)[2:], _factors(node), strict=True):
        if not corners and factor is not None and abs(want / (have * factor) - 1) > 1e-6:
            raise emission.refusal(
                f"it resizes {have} to {want} samples but steps by 1/{factor:g}",
                accepted="scale factors that give whole sizes",
                next_step="give size= instead of scale_factor=, or recompute_scale_factor=True",
            )
    if corners and 1 in shape_of(node)[2:]:
        x = _first_samples(emission, x, shape_of(node)[2:])
    height, width = shape_of(node)[2:]
    mode = "STRICT_ALIGN_CORNERS" if corners else "UNALIGN_CORNERS"
    return emission.op("resize_bilinear", x=x, target_size_height=height, target_size_width=width, sampling_mode=mode)


def _first_samples(emission: Emission, x: Variable, sizes: tuple[int, ...]) -> Variable:
    """Between corners, one sample is the first; the operator's own rule would divide by zero."""
    return sliced(emission, x, {axis: (0, 1, 1) for axis, size in zip((2, 3), sizes, strict=True) if size == 1})


def _factors(node: fx.Node) -> list[float | None]:
    factors = argument(node, "scale_factors")
    return [None, None] if argument(node, "output_size") is not None or not factors else [float(f) for f in factors]


def _picked(have: int, want: int, factor: float | None) -> np.ndarray:
    """The source of each sample, in float32 as PyTorch computes it; it ignores the factor where the size stays or doubles."""
    factor = None if want in (have, 2 * have) else factor
    step = np.float32(have / want) if factor is None else np.float32(1 / factor)
    return np.minimum((np.arange(want, dtype=np.float32) * step).astype(np.int32), have - 1)
