"""Rules about the grids themselves: dtype, zero point, scale, axis."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from onnx import NodeProto, TensorProto

from edgekit_converters.tensorrt.index import Index, attribute
from edgekit_converters.tensorrt.violation import Violation, at, check

_GRIDS = ("QuantizeLinear", "DequantizeLinear")
_KNOWN = {TensorProto.INT8, TensorProto.INT4, TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT4E2M1}
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def grids(index: Index) -> Iterator[NodeProto]:
    """The node that tells each grid: QuantizeLinear, and DequantizeLinear where no QuantizeLinear is before it."""
    for node in index.nodes:
        if node.op_type == "QuantizeLinear" or (
            node.op_type == "DequantizeLinear" and index.maker(node.input[0], "QuantizeLinear") is None
        ):
            yield node


def integer_dtype(index: Index, node: NodeProto) -> int | None:
    """The integers of a quantize or dequantize node; None if the file does not say without inference."""
    if len(node.input) > 2 and node.input[2]:
        return index.dtype(node.input[2])
    if node.op_type == "QuantizeLinear":
        return attribute(node, "output_dtype", 0) or TensorProto.UINT8
    return index.dtype(node.input[0])


@check
def dtype(index: Index) -> Iterator[Violation]:
    """Integers are int8 (int4 for weights)."""
    for node in grids(index):
        found = integer_dtype(index, node)
        if found is not None and found not in _KNOWN and not _is_bias(index, node):
            name = TensorProto.DataType.Name(found).lower()
            yield at(index, node, "dtype", f"it rounds to {name}", "quantize to int8 with zero point 0")


@check
def asymmetric(index: Index) -> Iterator[Violation]:
    """Zero points are 0."""
    for node in grids(index):
        if len(node.input) > 2 and not index.is_zero(node.input[2]):
            what = "computed at run time" if index.dtype(node.input[2]) is None else "not 0"
            yield at(index, node, "asymmetric", f"its zero point is {what}", "calibrate symmetric ranges (zero point 0)")


@check
def scale(index: Index) -> Iterator[Violation]:
    """Scales are positive constants."""
    for node in grids(index):
        values = index.array(node.input[1])
        if values is None:
            yield at(index, node, "scale", "its scale is not a constant of the file", "calibrate ranges before exporting")
        elif values.dtype.kind == "f" and not bool(np.all(np.isfinite(values) & (values > 0))):
            yield at(index, node, "scale", "a scale is not a positive number", "give channels of zeros the scale of their neighbours")


@check
def activation_axis(index: Index) -> Iterator[Violation]:
    """Activations have one scale."""
    for node in grids(index):
        channels = math.prod(index.sizes(node.input[1]) or (1,))
        if channels > 1 and node.input[0] not in index.constants:
            yield at(index, node, "per-channel", f"an activation has {channels} scales", "quantize activations per tensor")


@check
def weight_axis(index: Index) -> Iterator[Violation]:
    """A weight's scales lie along its output channels; a transposed convolution's along its input channels."""
    for node in index.nodes:
        dequantize = index.dequantized(node, 1) if node.op_type in _WEIGHTED else None
        weight = None if dequantize is None else index.stored(dequantize)
        if dequantize is None or weight is None or attribute(dequantize, "block_size", 0):
            continue
        scales = index.sizes(dequantize.input[1]) or ()
        if len(scales) != 1 or scales[0] == 1:
            continue
        axis, wanted = attribute(dequantize, "axis", 1) % max(len(weight.dims), 1), _wanted_axis(index, node, len(weight.dims))
        if axis != wanted:
            kind = "input" if node.op_type == "ConvTranspose" else "output"
            yield at(
                index, node, "axis", f"its weight's scales lie along axis {axis}", f"quantize it along its {kind} channels, axis {wanted}"
            )


def _wanted_axis(index: Index, node: NodeProto, rank: int) -> int:
    """Of the stored weight; NVIDIA/TensorRT issue 2380 for ConvTranspose."""
    turned = (node.op_type == "Gemm" and not attribute(node, "transB", 0)) or node.op_type == "MatMul"
    if index.maker(node.input[1], "Transpose") is not None:
        turned = not turned
    return rank - 1 if turned else 0


def _is_bias(index: Index, node: NodeProto) -> bool:
    """Whether `placement.bias` tells of it anyway."""
    return any(len(r.input) > 2 and r.input[2] == node.output[0] and r.op_type in _WEIGHTED for r in index.readers(node.output[0]))
