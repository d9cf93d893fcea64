"""The real constants of an ONNX file, as ONNX defines what it stores: shares no code with what wrote it. Imported in workers only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

_REALS = ("f2", "f4", "f8")


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Every real constant that an operator reads, by its name; one stored in another form by the name of what it is turned into.

    Scales of rounding are no constants of their own.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    found: dict[str, np.ndarray] = {}
    for node in model.graph.node:
        for name, array in _read(node, stored):
            found.setdefault(name, array)
    return found


def _read(node: NodeProto, stored: dict[str, onnx.TensorProto]) -> Iterator[tuple[str, np.ndarray]]:
    if node.op_type in ("DequantizeLinear", "Cast") and node.input[0] in stored:
        source = numpy_helper.to_array(stored[node.input[0]])
        array = _cast(node, source) if node.op_type == "Cast" else _dequantized(node, source, stored)
        if array is not None:
            yield node.output[0], array
    elif node.op_type not in ("DequantizeLinear", "QuantizeLinear"):
        for name in node.input:
            array = numpy_helper.to_array(stored[name]) if name in stored else None
            if array is not None and array.dtype.str[1:] in _REALS:
                yield name, array


def _cast(node: NodeProto, source: np.ndarray) -> np.ndarray | None:
    wanted = next(onnx.helper.tensor_dtype_to_np_dtype(a.i) for a in node.attribute if a.name == "to")
    return source.astype(wanted) if wanted.str[1:] in _REALS else None


def _dequantized(node: NodeProto, source: np.ndarray, stored: dict[str, onnx.TensorProto]) -> np.ndarray | None:
    """Each integer less its zero point, times its scale, which is one, one an index of an axis, or one a block along it."""
    if node.input[1] not in stored:
        return None
    scale = numpy_helper.to_array(stored[node.input[1]])
    zero = numpy_helper.to_array(stored[node.input[2]]) if len(node.input) > 2 and node.input[2] in stored else np.zeros(scale.shape)
    options = {a.name: a.i for a in node.attribute}
    axis, block = options.get("axis", 1), options.get("block_size", 0)
    factors, offsets = (_laid(a.astype(np.float32), source.shape, axis, block) for a in (scale, zero))
    return ((source.astype(np.float32) - offsets) * factors).astype(scale.dtype)  # type: ignore[no-any-return]


def _laid(values: np.ndarray, shape: tuple[int, ...], axis: int, block: int) -> np.ndarray:
    if block:
        return np.repeat(values, block, axis)
    if values.ndim == 0 or values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if d == axis % len(shape) else 1 for d in range(len(shape))])
