"""Files of named arrays, as the native runner reads and writes them: little-endian, nothing compressed, nothing executable.

    "EKT1", count u32; each: name length u32, name (UTF-8), element u32, rank u32, dims u64…, bytes u64, data

`element` is LiteRT's number of an element type. What comes from a device is not trusted: every length is checked.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

import numpy as np

from edgekit.errors import DataError, DeviceFailed

MAGIC = b"EKT1"
MAX_ARRAYS, MAX_RANK = 64, 9
ELEMENTS = {
    1: "float32",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float16",
    11: "float64",
    16: "uint32",
    17: "uint16",
}
"""LiteRT's numbers (litert/c/litert_model_types.h) and NumPy's names."""
_NUMBERS = {name: number for number, name in ELEMENTS.items()}


def encode(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The file's content.

    Raises:
        DataError: An array of a dtype or rank that no model takes.
    """
    parts = [MAGIC, struct.pack("<I", len(arrays))]
    for name, array in arrays.items():
        if array.dtype.name not in _NUMBERS or not 0 < array.ndim < MAX_RANK:
            raise DataError(f"input {name!r} is {array.dtype} of rank {array.ndim}", accepted=(*_NUMBERS, f"rank 1 to {MAX_RANK - 1}"))
        text = name.encode()
        head = struct.pack(f"<I{len(text)}sII", len(text), text, _NUMBERS[array.dtype.name], array.ndim)
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        parts += [head, struct.pack(f"<{array.ndim}QQ", *array.shape, len(data)), data]
    return b"".join(parts)


def decode(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a file.

    Raises:
        DeviceFailed: It is damaged.
    """
    try:
        return _decoded(content)
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise DeviceFailed(f"the runner's outputs arrived damaged: {type(error).__name__}: {error}", next_step="run again") from None


def _decoded(content: bytes) -> dict[str, np.ndarray]:
    magic, count = struct.unpack_from("<4sI", content)
    if magic != MAGIC or count > MAX_ARRAYS:
        raise ValueError("no file of arrays")
    arrays, at = {}, 8
    for _ in range(count):
        name, array, at = _array(content, at)
        arrays[name] = array
    if at != len(content) or len(arrays) != count:
        raise ValueError("something follows the arrays" if at != len(content) else "two arrays have one name")
    return arrays


def _array(content: bytes, at: int) -> tuple[str, np.ndarray, int]:
    (length,) = struct.unpack_from("<I", content, at)
    raw, element, rank = struct.unpack_from(f"<{min(length, len(content))}sII", content, at + 4)
    if rank > MAX_RANK:
        raise ValueError(f"an array of rank {rank}")
    at += 12 + length
    *shape, size = struct.unpack_from(f"<{rank}QQ", content, at)
    at += 8 * (rank + 1)
    dtype = np.dtype(ELEMENTS[element]).newbyteorder("<")
    if size != math.prod(shape) * dtype.itemsize or at + size > len(content):
        raise ValueError(f"an array of {shape} in {size} bytes")
    array = np.frombuffer(content, dtype, size // dtype.itemsize, at).reshape(shape)
    return raw.decode(), array.astype(dtype.newbyteorder("="), copy=True), at + size
