"""Canonical Huffman codes of at most 15 bits, read and written many at once.

Lengths of least total size under the limit come from package-merge (Larmore and Hirschberg 1990, "A fast algorithm for optimal
length-limited Huffman codes"); codes follow from lengths as in RFC 1951, section 3.2.2. An alphabet of one symbol takes no bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgekit.packing.bits import WIDEST, BitReader, BitWriter, Damaged

LONGEST = 15
"""Bits of the longest code."""

MOST = 256
"""Symbols of the largest alphabet."""

_ORDER = 5
"""Bits that say the Golomb order of the distances between rows of symbols."""


@dataclass(frozen=True)
class Code:
    """A prefix code.

    Attributes:
        symbols: Ascending, uint32.
        lengths: Of their codes, in bits: 1 to `LONGEST`, or 0 for a single symbol; int64.
    """

    symbols: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, symbols: np.ndarray, counts: np.ndarray) -> Code:
        """The best code for symbols (ascending) that occur so often (once or more)."""
        return cls(symbols.astype(np.uint32), code_lengths(counts))

    @cached_property
    def bits(self) -> int:
        """Size of the written code."""
        writer = BitWriter()
        self.write(writer)
        return writer.bits

    def write(self, writer: BitWriter) -> None:
        """Number of symbols, distances and lengths of their unbroken rows, differences of the lengths of their codes."""
        symbols = self.symbols.astype(np.int64)
        first = np.flatnonzero(np.diff(symbols, prepend=-2) != 1)
        rows = np.diff(first, append=len(symbols))
        distances = symbols[first] - np.append(-1, symbols[first + rows - 1][:-1]) - 1
        order = _golomb_order(distances)
        writer.put_golomb(np.array([len(symbols) - 1]), np.array([0]))
        writer.put(order, _ORDER)
        writer.put_golomb(np.stack([distances, rows - 1], 1), np.array([order, 0]))
        if len(symbols) > 1:
            changes = np.diff(self.lengths, prepend=_expected(len(symbols)))
            writer.put_golomb(np.where(changes > 0, 2 * changes - 1, -2 * changes), np.array(0))

    @classmethod
    def read(cls, reader: BitReader, largest: int) -> Code:
        """Inverse of `write`.

        Args:
            reader: At the code.
            largest: No symbol is greater.

        Raises:
            Damaged: It is no complete prefix code over such symbols.
        """
        count, order = reader.take_golomb(0) + 1, reader.take(_ORDER)
        if count > MOST:
            raise Damaged(f"an alphabet has {count} symbols")
        symbols: list[int] = []
        while len(symbols) < count:
            symbol = (symbols[-1] if symbols else -1) + 1 + reader.take_golomb(order)
            row = reader.take_golomb(0) + 1
            if len(symbols) + row > count or symbol + row - 1 > largest:
                raise Damaged("an alphabet has symbols that cannot be")
            symbols += range(symbol, symbol + row)
        if count == 1:
            return cls(np.array(symbols, np.uint32), np.zeros(1, np.int64))
        lengths, length = [], _expected(count)
        for _ in range(count):
            zigzag = reader.take_golomb(0)
            length += (zigzag + 1) // 2 if zigzag % 2 else -(zigzag // 2)
            if not 1 <= length <= LONGEST:
                raise Damaged(f"a code has {length} bits")
            lengths.append(length)
        if sum(1 << (LONGEST - n) for n in lengths) != 1 << LONGEST:
            raise Damaged("a code is not complete")
        return cls(np.array(symbols, np.uint32), np.array(lengths, np.int64))

    @cached_property
    def codes(self) -> np.ndarray:
        """The code of each symbol, its first bit the least significant; uint64."""
        result, code, previous = np.zeros(len(self.symbols), np.uint64), 0, 0
        for i in np.argsort(self.lengths, kind="stable").tolist():
            length = int(self.lengths[i])
            code <<= length - previous
            result[i] = int(f"{code:0{length}b}"[::-1], 2) if length else 0
            code, previous = code + 1, length
        return result

    @cached_property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Symbol (uint32) and length (uint8) of the code that the next `LONGEST` bits begin with."""
        symbols, lengths = np.empty(1 << LONGEST, np.uint32), np.empty(1 << LONGEST, np.uint8)
        for symbol, length, code in zip(self.symbols, self.lengths.tolist(), self.codes.tolist(), strict=True):
            symbols[code :: 1 << length], lengths[code :: 1 << length] = symbol, length
        return symbols, lengths

    def put(self, writer: BitWriter, values: np.ndarray) -> None:
        """Write symbols."""
        codes, lengths = self.encoded(values)
        writer.put_all(codes, lengths)

    def encoded(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Code and length of each symbol."""
        where = np.searchsorted(self.symbols, values)
        return self.codes[where], self.lengths[where]


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """Lengths of the best prefix code of at most `LONGEST` bits for symbols that occur so often; 0 for a single one."""
    size = len(counts)
    if size == 1:
        return np.zeros(1, np.int64)
    order = np.argsort(counts, kind="stable")
    packages, levels = np.empty(0, np.int64), []
    for _ in range(LONGEST):
        pool = np.concatenate([counts[order].astype(np.int64), packages])
        rank = np.argsort(pool, kind="stable")
        levels.append(rank < size)
        packages = pool[rank][: len(pool) // 2 * 2].reshape(-1, 2).sum(1)
    lengths, taken = np.zeros(size, np.int64), 2 * size - 2
    for leaf in reversed(levels):
        leaves = int(leaf[:taken].sum())
        lengths[order[:leaves]] += 1
        taken = 2 * (taken - leaves)
    return lengths


def _expected(symbols: int) -> int:
    """Bits of each code if all were equally long."""
    return (symbols - 1).bit_length()


def _golomb_order(values: np.ndarray) -> int:
    """The order in which numbers take the least bits."""
    orders = np.arange(WIDEST)
    lengths = np.frexp(values[:, None] + 2.0**orders)[1]  # an exponent is a bit length
    return int((2 * lengths - orders).sum(0).argmin())
