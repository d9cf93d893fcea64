"""Resizing images, where PyTorch samples them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.onnx.emission import Emission, static
from edgekit_converters.onnx.registry import emits


@emits(aten.upsample_nearest2d.vec)
def upsample_nearest2d(emission: Emission, node: fx.Node) -> ir.Value:
    """Resize: the pixel at ⌊place · step⌋."""
    mode = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _resized(emission, node, mode)


@emits(aten.upsample_bilinear2d.vec)
def upsample_bilinear2d(emission: Emission, node: fx.Node) -> ir.Value:
    """Resize: linear between pixel centres, or between corners."""
    corners = bool(argument(node, "align_corners"))
    mode = {"mode": "linear", "coordinate_transformation_mode": "align_corners" if corners else "half_pixel"}
    return _resized(emission, node, mode, by_scale=not corners)


def _resized(emission: Emission, node: fx.Node, attributes: dict[str, str], *, by_scale: bool = True) -> ir.Value:
    """By the size of the result; by the factors where the user gave some that the sizes do not say."""
    x, shape, factors = emission.value(node.args[0]), shape_of(node), argument(node, "scale_factors")
    rounded = factors and any(n * f != wanted for n, f, wanted in zip(static(x)[2:], factors, shape[2:], strict=True))
    if by_scale and rounded:
        return emission.op("Resize", [x, None, np.asarray([1, 1, *factors], np.float32)], shape, attributes)
    sizes = emission.ints(shape)
    if x in emission.open:
        first = emission.op("Shape", [x], (2,), {"end": 2}, dtype=ir.DataType.INT64)
        sizes = emission.op("Concat", [first, emission.ints(shape[2:])], (4,), {"axis": 0})
    return emission.op("Resize", [x, None, None, sizes], shape, attributes)
