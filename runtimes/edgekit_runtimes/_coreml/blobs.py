"""The weight file of a package, read directly.

Layout (MILBlob storage, version 2; every record starts at a multiple of 64 bytes):

    file    uint32 count, uint32 version, 56 bytes reserved
    record  uint32 0xDEADBEEF, uint32 data type, uint64 bytes, uint64 offset of the data, uint64 padding bits, 32 bytes reserved
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from edgekit_runtimes._coreml.dtypes import of_blob, unpack

_SENTINEL = 0xDEADBEEF
_VERSION = 2
_HEADER = 64
_RECORD = struct.Struct("<IIQQQ")


class BlobFile:
    """A weight file, mapped into memory.

    Raises:
        ValueError: Not a weight file of this version.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        size = path.stat().st_size
        if size < _HEADER:
            raise ValueError(f"{self.name} has {size} bytes, and a weight file has {_HEADER} at least")
        self._bytes = np.memmap(path, np.uint8, "r")
        _, version = struct.unpack("<II", bytes(self._bytes[:8]))
        if version != _VERSION:
            raise ValueError(f"{self.name} is a weight file of version {version}, and version {_VERSION} is known here")

    def read(self, offset: int, dtype: str, count: int) -> tuple[np.ndarray, int]:
        """`count` elements of the record at `offset`, and the bytes they take in the file.

        Raises:
            ValueError: There is no such record, it holds another type or size, or it ends behind the file.
        """
        if offset % 64 or not _HEADER <= offset <= len(self._bytes) - _HEADER:
            raise ValueError(f"{self.name} has {len(self._bytes):,} bytes, and a value is said to be at {offset:,}")
        sentinel, stored, size, start, _ = _RECORD.unpack(bytes(self._bytes[offset : offset + _RECORD.size]))
        if sentinel != _SENTINEL:
            raise ValueError(f"{self.name} has no record at {offset:,}")
        if of_blob(stored) != dtype:
            raise ValueError(f"the record of {self.name} at {offset:,} holds {of_blob(stored)}, not {dtype}")
        if start + size > len(self._bytes):
            raise ValueError(f"the record of {self.name} at {offset:,} ends behind the file's {len(self._bytes):,} bytes")
        return unpack(self._bytes[start : start + size], dtype, count), size
