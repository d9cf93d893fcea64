"""Operator versions: the oldest runtime that has a kernel for what was written.

A version is only a gate at load time: a runtime refuses a number it does not know, and otherwise ignores it. The numbers are
the ones TensorFlow Lite's own ``op_version.cc`` assigns; float is 1 unless listed.
"""

from __future__ import annotations

from collections.abc import Sequence

_INT8 = {
    "ABS": 2, "ADD": 2, "ARG_MAX": 2, "AVERAGE_POOL_2D": 2, "BATCH_MATMUL": 2, "BROADCAST_TO": 3, "CONCATENATION": 2, "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3, "DEPTH_TO_SPACE": 2, "DEQUANTIZE": 2, "EMBEDDING_LOOKUP": 3, "EQUAL": 2, "EXP": 2, "FULLY_CONNECTED": 4,
    "GATHER": 2, "GELU": 2, "GREATER": 2, "GREATER_EQUAL": 2, "LEAKY_RELU": 2, "LESS": 2, "LESS_EQUAL": 2, "LOG": 2, "LOGISTIC": 2,
    "LOG_SOFTMAX": 2, "MAXIMUM": 2, "MAX_POOL_2D": 2, "MEAN": 2, "MINIMUM": 2, "MIRROR_PAD": 2, "MUL": 2, "NOT_EQUAL": 2, "PACK": 2,
    "PAD": 2, "PADV2": 2, "REDUCE_MAX": 2, "REDUCE_MIN": 2, "RELU": 2, "RELU6": 2, "RESIZE_BILINEAR": 2,
    "RESIZE_NEAREST_NEIGHBOR": 2, "REVERSE_V2": 3, "RSQRT": 2, "SLICE": 2, "SOFTMAX": 2, "SPACE_TO_DEPTH": 2, "SPLIT": 2,
    "SPLIT_V": 2, "SQUARED_DIFFERENCE": 2, "STRIDED_SLICE": 2, "SUB": 2, "SUM": 2, "TANH": 2, "TILE": 3, "TOPK_V2": 2,
    "TRANSPOSE": 2, "TRANSPOSE_CONV": 3, "UNPACK": 2,
}  # fmt: skip
_INT16 = {
    "ABS": 3, "ADD": 3, "AVERAGE_POOL_2D": 3, "BATCH_MATMUL": 3, "BROADCAST_TO": 3, "CONCATENATION": 3, "CONV_2D": 4,
    "DEPTHWISE_CONV_2D": 5, "DEQUANTIZE": 3, "EXP": 2, "FULLY_CONNECTED": 7, "GATHER": 4, "LEAKY_RELU": 2, "LOG": 2, "LOGISTIC": 3,
    "MAXIMUM": 4, "MAX_POOL_2D": 3, "MEAN": 3, "MINIMUM": 4, "MIRROR_PAD": 3, "MUL": 4, "PACK": 3, "PAD": 3, "PADV2": 3,
    "QUANTIZE": 2, "REDUCE_MAX": 3, "REDUCE_MIN": 3, "RELU": 3, "RELU6": 3, "RESIZE_BILINEAR": 4, "RESIZE_NEAREST_NEIGHBOR": 4,
    "RSQRT": 3, "SLICE": 4, "SOFTMAX": 3, "SPLIT": 4, "STRIDED_SLICE": 4, "SUB": 5, "SUM": 2, "TANH": 3, "TILE": 3, "TOPK_V2": 3,
    "TRANSPOSE": 5, "TRANSPOSE_CONV": 4, "UNPACK": 4,
}  # fmt: skip
_BASE = {"BROADCAST_TO": 2, "SELECT_V2": 1}
_HYBRID = {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 6, "FULLY_CONNECTED": 9, "BATCH_MATMUL": 4, "TRANSPOSE_CONV": 3}
_INT4 = {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "FULLY_CONNECTED": 10, "EMBEDDING_LOOKUP": 4, "DEQUANTIZE": 6}


def version(op: str, dtypes: Sequence[str]) -> int:
    """The version of builtin `op` for the dtypes of its inputs, the first of them the data."""
    if "int4" in dtypes and op in _INT4:
        return _INT4[op]
    if dtypes and dtypes[0] == "float32" and "int8" in dtypes[1:]:
        return _HYBRID.get(op, _BASE.get(op, 1))
    if "int16" in dtypes:
        return _INT16.get(op, _BASE.get(op, 1))
    if "int8" in dtypes:
        return _INT8.get(op, _BASE.get(op, 1))
    return _BASE.get(op, 1)
