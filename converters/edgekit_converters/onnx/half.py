"""The same nodes computing in half precision, for readers that compute in the dtypes a file has (TensorRT 11).

Inputs and outputs keep theirs: a Cast lies behind and in front of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from edgekit.errors import ConversionError
from edgekit_converters.onnx.emission import MODULE, Emission

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16
LARGEST, SMALLEST = 65504.0, 2.0**-24
LEAST_SCALE = 2.0**-19
"""Smaller scales have less than five bits in half precision."""
_STAYS = (("Resize", 1), ("Resize", 2))
"""Operands that ONNX has in float32 whatever is computed in."""
_ROUNDING = ("QuantizeLinear", "DequantizeLinear")


def in_half(emission: Emission, edges: Iterable[ir.Value]) -> None:
    """Turn what was emitted into half precision, but for the model's inputs and outputs.

    Raises:
        ConversionError: A scale is so small that half precision keeps little of it.
    """
    kept = {id(value) for value in edges}
    for node in emission.nodes:
        emission.path = node.metadata_props.get(MODULE, "")
        for place, value in enumerate(node.inputs):
            if value is not None and value.dtype == FLOAT and value.const_value is not None and (node.op_type, place) not in _STAYS:
                node.replace_input_with(place, _constant(emission, node, place, value))
        for value in node.outputs:
            if value.dtype == FLOAT and id(value) not in kept:
                value.dtype = HALF
        if node.op_type == "Cast" and node.outputs[0].dtype == HALF:
            node.attributes["to"] = ir.AttrInt64("to", HALF)


def _constant(emission: Emission, node: ir.Node, place: int, value: ir.Value) -> ir.Value:
    assert value.const_value is not None
    array = value.const_value.numpy()
    if node.op_type in _ROUNDING and place == 1 and array.min() < LEAST_SCALE:
        raise ConversionError(
            f"a scale of {array.min():.2g} has no place in half precision",
            op=node.op_type,
            module=emission.path or None,
            next_step="--compute float32, or a recipe override of float32 for this module",
        )
    return emission.constant(_rounded(array), f"{value.name}_half")


def _rounded(array: np.ndarray) -> np.ndarray:
    """Finite numbers stay finite, and a small scalar (an epsilon) apart from zero."""
    half = np.where(np.isfinite(array), np.clip(array, -LARGEST, LARGEST), array).astype(np.float16)
    if array.size == 1 and array.flat[0] and not half.flat[0]:
        return np.full_like(half, np.copysign(SMALLEST, array.flat[0]))
    return half
