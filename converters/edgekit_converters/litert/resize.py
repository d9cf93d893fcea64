"""Resizing images, exactly as PyTorch places the samples or not at all."""

from __future__ import annotations

import ai_edge_litert.schema_py_generated as schema
import numpy as np
from torch import fx

from edgekit.graph import argument, aten
from edgekit_converters.litert.emission import OP, Emission, Form, Outcome
from edgekit_converters.litert.indexing import gathered
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.values import Value

_NHWC = (0, 2, 3, 1)


@emits(aten.upsample_nearest2d.vec, integers=(INT8, INT16))
def upsample_nearest2d(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """RESIZE_NEAREST_NEIGHBOR where it picks the same pixels as PyTorch, else a GATHER of rows and one of columns."""
    value = emission.value(node.args[0])
    picks = [_picked(value.shape[d], out.shape[d], f) for d, f in zip((2, 3), _factors(node), strict=True)]
    if all(np.array_equal(p, _picked(value.shape[d], out.shape[d], None)) for d, p in zip((2, 3), picks, strict=True)):
        tensor = emission.operand(out, value, _NHWC, share=True)
        options = schema.ResizeNearestNeighborOptionsT(alignCorners=False, halfPixelCenters=False)
        size = emission.ints(out.shape[2:])
        return emission.op(OP.RESIZE_NEAREST_NEIGHBOR, [tensor, size], out, Form.of(out.shape, _NHWC), options)
    for dim, pick in zip((2, 3), picks, strict=True):
        value = gathered(emission, out, value, dim, Value.constant(pick))
    return value


@emits(aten.upsample_bilinear2d.vec, integers=(INT8,))
def upsample_bilinear2d(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """RESIZE_BILINEAR; its step is always input size / output size, or between corners."""
    value, corners = emission.value(node.args[0]), bool(argument(node, "align_corners"))
    for dim, factor in zip((2, 3), _factors(node), strict=True):
        have, want = value.shape[dim], out.shape[dim]
        if not corners and factor is not None and abs(want / (have * factor) - 1) > 1e-6:
            raise emission.refusal(
                node,
                f"it resizes {have} to {want} samples but steps by 1/{factor:g}",
                accepted="scale factors that give whole sizes",
                next_step="give size= instead of scale_factor=, or recompute_scale_factor=True",
            )
    tensor = emission.operand(out, value, _NHWC, share=True)
    options = schema.ResizeBilinearOptionsT(alignCorners=corners, halfPixelCenters=not corners)
    return emission.op(OP.RESIZE_BILINEAR, [tensor, emission.ints(out.shape[2:])], out, Form.of(out.shape, _NHWC), options)


def _factors(node: fx.Node) -> list[float | None]:
    factors = argument(node, "scale_factors")
    return [None, None] if argument(node, "output_size") is not None or not factors else [float(f) for f in factors]


def _picked(have: int, want: int, factor: float | None) -> np.ndarray:
    """The source of each sample: PyTorch's for the factor it was called with, TFLite's for None. Both compute in float32.

    PyTorch ignores the factor where the size stays or doubles.
    """
    factor = None if want in (have, 2 * have) else factor
    step = np.float32(have / want) if factor is None else np.float32(1 / factor)
    return np.minimum((np.arange(want, dtype=np.float32) * step).astype(np.int32), have - 1)
