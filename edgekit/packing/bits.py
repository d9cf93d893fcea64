"""Streams of bits, least significant first in each byte, as DEFLATE's are (RFC 1951, section 3.1.1)."""

from __future__ import annotations

import numpy as np

from edgekit.errors import UsageError

WIDEST = 32
"""Bits of the longest field."""


class Damaged(UsageError):
    """A pack does not say what a pack can say."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the pack is damaged: {what}", next_step="download or copy it again, or pack the artifact again")


class BitWriter:
    """Collects fields; `to_bytes` joins them."""

    def __init__(self) -> None:
        self._values: list[np.ndarray] = []
        self._widths: list[np.ndarray] = []

    @property
    def bits(self) -> int:
        """Size of all fields so far."""
        return sum(int(widths.sum()) for widths in self._widths)

    def put(self, value: int, width: int) -> None:
        """One field of 0 to `WIDEST` bits."""
        self.put_all(np.array([value], np.uint64), np.array([width], np.int64))

    def put_all(self, values: np.ndarray, widths: np.ndarray) -> None:
        """Many fields, of any equal shape, in C order."""
        self._values.append(values.ravel().astype(np.uint64))
        self._widths.append(widths.ravel().astype(np.int64))

    def put_golomb(self, values: np.ndarray, orders: np.ndarray) -> None:
        """Numbers of 0 to 2**32 - 1 in exponential Golomb codes (Teuhola 1978): short where they are less than 2**order or near it."""
        orders = orders.astype(np.int64)
        shifted = values.astype(np.int64) + (1 << orders)
        widths = np.frexp(shifted.astype(np.float64))[1].astype(np.int64) - 1
        fields = np.empty((*shifted.shape, 2), np.int64), np.empty((*shifted.shape, 2), np.int64)
        fields[0][..., 0], fields[1][..., 0] = 1 << (widths - orders), widths - orders + 1
        fields[0][..., 1], fields[1][..., 1] = shifted - (1 << widths), widths
        self.put_all(*fields)

    def to_bytes(self) -> bytes:
        """All fields, padded with zeros to whole bytes."""
        values, widths = np.concatenate([np.empty(0, np.uint64), *self._values]), np.concatenate([np.empty(0, np.int64), *self._widths])
        values, widths = values[widths > 0], widths[widths > 0]
        ends = np.cumsum(widths)
        if not len(ends):
            return b""
        starts = (ends - widths).astype(np.uint64)
        word, shift = starts >> np.uint64(6), starts & np.uint64(63)
        low = values << shift
        high = np.where(shift > 0, values >> ((np.uint64(64) - shift) & np.uint64(63)), np.uint64(0))
        first = np.flatnonzero(np.diff(word, prepend=word[:1] + np.uint64(1)))  # each word has a start: no field fills one
        words = np.zeros(len(first) + 1, np.uint64)
        words[:-1] = np.bitwise_or.reduceat(low, first)
        words[1:] |= np.bitwise_or.reduceat(high, first)
        return words.astype("<u8").tobytes()[: (int(ends[-1]) + 7) // 8]


class BitReader:
    """Reads fields off bytes, one by one or many at once.

    Attributes:
        position: Of the next bit.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._bits = 8 * len(data)
        self._bytes = np.frombuffer(data, np.uint8)
        self.position = 0

    @property
    def left(self) -> int:
        """Bits that were not read yet."""
        return self._bits - self.position

    def take(self, width: int) -> int:
        """The next field, of 0 to `WIDEST` bits.

        Raises:
            Damaged: The data end before it does.
        """
        first, shift = self.position >> 3, self.position & 7
        value = int.from_bytes(self._bytes[first : first + 5].tobytes(), "little") >> shift
        self.skip(width)
        return value & ((1 << width) - 1)

    def take_golomb(self, order: int) -> int:
        """Inverse of `BitWriter.put_golomb`.

        Raises:
            Damaged: The data end before it does, or no such number exists.
        """
        width = order
        while not self.take(1):
            width += 1
            if width > WIDEST:
                raise Damaged("a number is too large")
        return (1 << width) + self.take(width) - (1 << order)

    def skip(self, width: int) -> None:
        """Go on behind the next bits.

        Raises:
            Damaged: There are not so many.
        """
        if width > self.left:
            raise Damaged("it ends in the middle of a code")
        self.position += width

    def ahead(self, most: int, more: int) -> tuple[np.ndarray, int]:
        """What stands at each of the next positions.

        Args:
            most: Positions inside the data, at most.
            more: Positions behind those, be they inside the data or not.

        Returns:
            The 32 bits from each position on, uint64, of zeros behind the data; how many positions are inside and not of the `more`.

        Raises:
            Damaged: The data are at their end.
        """
        inside = min(self.left, most)
        if not inside:
            raise Damaged("it ends before its last element")
        first, shift = self.position >> 3, self.position & 7
        size = (shift + inside + more + 7) // 8
        data = np.zeros(size + 4, np.uint64)
        found = self._bytes[first : first + size + 4]
        data[: len(found)] = found
        joined = sum((data[i : size + i] << np.uint64(8 * i) for i in range(5)), np.zeros(size, np.uint64))
        heads = (joined[:, None] >> np.arange(8, dtype=np.uint64)).ravel()[shift : shift + inside + more]
        return heads & np.uint64(0xFFFFFFFF), inside
