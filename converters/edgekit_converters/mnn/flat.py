"""Reading a flatbuffer by field numbers, where no generated code for its schema is published.

Field numbers are those of MNN's schema (``schema/default/*.fbs``), which only ever appends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from flatbuffers import encode, number_types
from flatbuffers.table import Table as Raw

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """One table of a buffer.

    Attributes:
        content: The whole buffer.
        position: Where the table begins.
    """

    content: bytes | bytearray
    position: int

    @classmethod
    def root(cls, content: bytes | bytearray) -> Table:
        """The table a buffer begins with."""
        return cls(content, encode.Get(number_types.UOffsetTFlags.packer_type, content, 0))

    def place(self, field: int) -> int:
        """Where a field's value is, or 0 if it is absent."""
        offset = Raw(self.content, self.position).Offset(4 + 2 * field)
        return self.position + offset if offset else 0

    def scalar(self, field: int, kind: Any, default: Any = 0) -> Any:
        """A number, of a type of `flatbuffers.number_types`."""
        place = self.place(field)
        return encode.Get(kind.packer_type, self.content, place) if place else default

    def integer(self, field: int, default: int = 0) -> int:
        """An ``int`` or an enumeration of that width."""
        return int(self.scalar(field, number_types.Int32Flags, default))

    def text(self, field: int) -> str:
        """A string, empty if absent."""
        place = self.place(field)
        return Raw(self.content, self.position).String(place).decode("utf-8", "replace") if place else ""

    def table(self, field: int) -> Table | None:
        """A table, or the one that a union holds."""
        place = self.place(field)
        return Table(self.content, Raw(self.content, self.position).Indirect(place)) if place else None

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        return self._vector(field, lambda raw, place: Table(self.content, raw.Indirect(place)))

    def texts(self, field: int) -> list[str]:
        """A vector of strings."""
        return self._vector(field, lambda raw, place: raw.String(place).decode("utf-8", "replace"))

    def numbers(self, field: int, dtype: str) -> np.ndarray:
        """A vector of numbers, empty if absent.

        Raises:
            ValueError: It reaches beyond the buffer.
        """
        place = self.place(field)
        if not place:
            return np.empty(0, dtype)
        start = place + encode.Get(number_types.UOffsetTFlags.packer_type, self.content, place)
        count = encode.Get(number_types.UOffsetTFlags.packer_type, self.content, start)
        return np.frombuffer(self.content, dtype, count, start + 4)

    def span(self, field: int, width: int) -> tuple[int, int]:
        """Where the elements of a vector of numbers begin and end; ``width`` is of one, in bytes."""
        place = self.place(field)
        start = place + encode.Get(number_types.UOffsetTFlags.packer_type, self.content, place)
        count = encode.Get(number_types.UOffsetTFlags.packer_type, self.content, start)
        return start + 4, start + 4 + width * count

    def _vector(self, field: int, read: Callable[[Raw, int], T]) -> list[T]:
        if not self.place(field):
            return []
        raw = Raw(self.content, self.position)
        offset = raw.Offset(4 + 2 * field)
        start, count = raw.Vector(offset), raw.VectorLen(offset)
        if start + 4 * count > len(self.content):
            raise ValueError(f"a vector of {count} elements reaches beyond the file")
        return [read(raw, start + 4 * i) for i in range(count)]
