"""The element types of MIL: their names, their sizes, and their form in numpy and torch."""

from __future__ import annotations

import numpy as np

BITS = {
    "bool": 8, "fp16": 16, "fp32": 32, "fp64": 64, "int4": 4, "int8": 8, "int16": 16, "int32": 32, "int64": 64,
    "uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "uint6": 6, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64,
}  # fmt: skip
"""Stored bits an element, by name."""

NUMPY = {
    "bool": np.bool_, "fp16": np.float16, "fp32": np.float32, "fp64": np.float64, "int4": np.int8, "int8": np.int8, "int16": np.int16,
    "int32": np.int32, "int64": np.int64, "uint1": np.uint8, "uint2": np.uint8, "uint3": np.uint8, "uint4": np.uint8, "uint6": np.uint8,
    "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
}  # fmt: skip
"""The numpy type that holds one element, unpacked."""

_PROTO = {
    1: "bool", 2: "string", 10: "fp16", 11: "fp32", 12: "fp64", 21: "int8", 22: "int16", 23: "int32", 24: "int64", 25: "int4",
    31: "uint8", 32: "uint16", 33: "uint32", 34: "uint64", 35: "uint4", 36: "uint2", 37: "uint1", 38: "uint6", 39: "uint3",
}  # fmt: skip

_BLOB = {
    1: "fp16", 2: "fp32", 3: "uint8", 4: "int8", 6: "int16", 7: "uint16", 8: "int4", 9: "uint1", 10: "uint2", 11: "uint4", 12: "uint3",
    13: "uint6", 14: "int32", 15: "uint32",
}  # fmt: skip

LONG = {"fp16": "float16", "fp32": "float32", "fp64": "float64"}
"""Names as `edgekit.tensors` writes them, where they differ."""


def of_message(number: int) -> str:
    """Name of a ``DataType`` of the protobuf messages."""
    return _named(number, _PROTO, "data type")


def of_blob(number: int) -> str:
    """Name of a data type of the weight file."""
    return _named(number, _BLOB, "blob data type")


def _named(number: int, names: dict[int, str], what: str) -> str:
    if number not in names:
        raise ValueError(f"{what} {number} is unknown here; known are {', '.join(sorted(set(names.values())))}")
    return names[number]


def unpack(data: np.ndarray, dtype: str, count: int) -> np.ndarray:
    """Elements of `dtype` from packed little-endian bytes, the first element in the lowest bits.

    Args:
        data: Bytes, uint8.
        dtype: A name of `BITS`.
        count: Elements.

    Returns:
        Shape (count,), in the type of `NUMPY`.

    Raises:
        ValueError: Too few bytes.
    """
    bits = BITS[dtype]
    size = -(-count * bits // 8)
    if len(data) < size:
        raise ValueError(f"{count:,} elements of {dtype} need {size:,} bytes, and there are {len(data):,}")
    if bits >= 8:
        return data[:size].view(NUMPY[dtype])
    rows = np.unpackbits(data[:size], bitorder="little")[: count * bits].reshape(count, bits)
    values = np.packbits(rows, axis=1, bitorder="little").reshape(count)
    return (((values ^ 8).astype(np.int8) - 8) if dtype == "int4" else values).astype(NUMPY[dtype], copy=False)
