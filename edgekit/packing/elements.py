"""Arrays of small numbers in few bits: a canonical Huffman code over their values, and another over runs of zeros.

Han, Mao and Dally 2016, "Deep Compression", sections 2 and 4: weights that were pruned and clustered, or quantized, have one very
frequent value and few others. Whether a file holds codebook indices, integers or floats makes no difference: an element is a
number of 1 to 32 bits, an alphabet the up to 256 distinct ones. Elements of more values (plain floats) are coded byte plane by
byte plane: all first bytes, then all second ones, as signs and exponents repeat where mantissas do not.

A stretch of bytes is coded as: 4 bits, the number of planes less one; then for each plane 5 bits, the width of an element less one;
a bit, whether runs are coded; if so the frequent value and the code of runs; the code of values; then, until all elements are there,
value after value, or run, value, run, value. Elements of several planes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.packing.bits import BitReader, BitWriter, Damaged
from edgekit.packing.huffman import LONGEST, MOST, Code

LARGEST_RUN = 123
"""The token of the longest runs."""

LAYOUTS = ((1, 8), (1, 4), (1, 32), (1, 16), (1, 1), (1, 2), (2, 8), (4, 8), (8, 8))
"""What an encoder tries: planes and bits an element."""

_AT_ONCE = 1 << 20
"""Bits that are decoded at once: what is known of each position takes some tens of bytes."""

_AHEAD = 128
"""Bits that two codes and the extra bits of a run take together, at most, and some."""

_CODE = np.uint64((1 << LONGEST) - 1)

_GLANCE = 4096
"""Elements that show soon that there are too many values."""


@dataclass(frozen=True)
class Plane:
    """How the elements of one plane are to be written.

    Attributes:
        elements: Unsigned integers.
        width: Bits of each.
        values: Code of the values, or of the others than the frequent one.
        frequent: The value whose runs are coded, or None.
        runs: Code of the runs, or None.
        bits: Of the whole plane, written.
    """

    elements: np.ndarray
    width: int
    values: Code
    frequent: int | None
    runs: Code | None
    bits: int

    def write(self, writer: BitWriter) -> None:
        """The plane's header and elements."""
        writer.put(self.width - 1, 5)
        writer.put(self.runs is not None, 1)
        if self.runs is None or self.frequent is None:
            self.values.write(writer)
            self.values.put(writer, self.elements)
            return
        writer.put(self.frequent, self.width)
        self.runs.write(writer)
        self.values.write(writer)
        others, lengths = _runs(self.elements, self.frequent)
        tokens, extra, extra_width = _tokens(lengths)
        run_codes, run_widths = self.runs.encoded(tokens)
        value_codes, value_widths = self.values.encoded(others)
        if len(others) < len(lengths):  # the last run has no value behind it
            value_codes, value_widths = np.append(value_codes, np.uint64(0)), np.append(value_widths, 0)
        fields = (run_codes, extra, value_codes), (run_widths, extra_width, value_widths)
        writer.put_all(np.stack(fields[0], 1), np.stack(fields[1], 1))


def best(data: np.ndarray) -> tuple[int, tuple[Plane, ...]] | None:
    """The smallest way to write bytes as elements.

    Args:
        data: uint8, one or more.

    Returns:
        Bits that it takes, and the planes; None where elements have too many values in every layout.
    """
    layouts = [_Layout.of(data, count, width) for count, width in LAYOUTS if count <= len(data)]
    best: tuple[int, tuple[Plane, ...]] | None = None
    for layout in sorted((y for y in layouts if y is not None), key=lambda y: y.least):
        if best is None or layout.least < best[0]:
            planes = layout.planes()
            bits = 4 + sum(plane.bits for plane in planes)
            best = (bits, planes) if best is None or bits < best[0] else best
    return best


@dataclass(frozen=True)
class _Layout:
    """Bytes as elements.

    Attributes:
        width: Bits of an element.
        elements: Of each plane.
        symbols: The values of each plane, ascending.
        counts: How often each occurs.
    """

    width: int
    elements: tuple[np.ndarray, ...]
    symbols: tuple[np.ndarray, ...]
    counts: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, data: np.ndarray, count: int, width: int) -> _Layout | None:
        """Cut into planes of elements of `width` bits; None where one has too many values."""
        elements = tuple(_elements(data[i::count], width) for i in range(count))
        distinct = [found for e in elements if (found := _distinct(e, width)) is not None]
        return cls(width, elements, *zip(*distinct, strict=True)) if len(distinct) == count else None

    @property
    def least(self) -> float:
        """Bits that they take at least if values are independent of each other."""
        totals = [counts.sum() for counts in self.counts]
        return sum(float(n * np.log2(n) - (c * np.log2(c)).sum()) for n, c in zip(totals, self.counts, strict=True))

    def planes(self) -> tuple[Plane, ...]:
        """The best codes."""
        parts = zip(self.elements, self.symbols, self.counts, strict=True)
        return tuple(_plane(elements, self.width, symbols, counts) for elements, symbols, counts in parts)


def encode(planes: tuple[Plane, ...]) -> bytes:
    """What `decode` reads."""
    writer = BitWriter()
    writer.put(len(planes) - 1, 4)
    for plane in planes:
        plane.write(writer)
    return writer.to_bytes()


def decode(payload: bytes | memoryview, length: int) -> np.ndarray:
    """The bytes that were encoded.

    Args:
        payload: What `encode` made, and nothing behind it.
        length: How many bytes.

    Raises:
        Damaged: It is none.
    """
    reader, data = BitReader(payload), np.empty(length, np.uint8)
    planes = reader.take(4) + 1
    for i in range(planes):
        part = data[i::planes]
        part[:] = _decoded_plane(reader, len(part), must_be=8 if planes > 1 else None)
    if reader.left >= 8:
        raise Damaged("there are bytes behind the elements")
    return data


def _plane(elements: np.ndarray, width: int, symbols: np.ndarray, counts: np.ndarray) -> Plane:
    """The elements with or without coded runs, whichever is smaller."""
    plain = Code.of(symbols, counts)
    dense = Plane(elements, width, plain, None, None, 6 + plain.bits + int((plain.lengths * counts).sum()))
    most = int(counts.argmax())
    if len(symbols) == 1 or 4 * counts[most] < len(elements):
        return dense
    frequent = int(symbols[most])
    _, lengths = _runs(elements, frequent)
    tokens, _, extra_width = _tokens(lengths)
    used = np.bincount(tokens)
    runs = Code.of(np.flatnonzero(used), used[used > 0])
    others = np.delete(counts, most)
    values = Code.of(np.delete(symbols, most), others)
    if len(runs.symbols) == len(values.symbols) == 1:
        return dense
    bits = (
        6
        + width
        + runs.bits
        + values.bits
        + int((runs.lengths * used[used > 0]).sum() + extra_width.sum() + (values.lengths * others).sum())
    )
    return min(dense, Plane(elements, width, values, frequent, runs, bits), key=lambda plane: plane.bits)


def _distinct(elements: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Values, ascending, and how often each occurs; None where they are too many."""
    if width > 8:
        if len(np.unique(elements[:_GLANCE])) > MOST:
            return None
        symbols, counts = np.unique(elements, return_counts=True)
        return (symbols, counts) if len(symbols) <= MOST else None
    counts = np.bincount(elements)
    return np.flatnonzero(counts), counts[counts > 0]


def _elements(data: np.ndarray, width: int) -> np.ndarray:
    """Numbers of `width` bits (a power of two), the least significant first; zeros fill up the last one."""
    if width >= 8:
        padded = np.concatenate([data, np.zeros(-len(data) % (width // 8), np.uint8)])
        return padded.view(f"<u{width // 8}")
    parts = data[:, None] >> np.arange(0, 8, width, dtype=np.uint8)
    return (parts & ((1 << width) - 1)).ravel()


def _bytes(elements: np.ndarray, width: int, length: int) -> np.ndarray:
    """Inverse of `_elements`, for any width.

    Raises:
        Damaged: Bits behind the last byte are set.
    """
    if width in (8, 16, 32):
        data = elements.astype(f"<u{width // 8}").view(np.uint8)
    else:
        bits = (elements[:, None] >> np.arange(width, dtype=np.uint32)) & 1
        data = np.packbits(bits.astype(np.uint8).ravel(), bitorder="little")
    if data[length:].any():
        raise Damaged("the last element is too large")
    return data[:length]


def _runs(elements: np.ndarray, frequent: int) -> tuple[np.ndarray, np.ndarray]:
    """The other elements, and the lengths of the runs before each and, if not 0, behind the last."""
    where = np.flatnonzero(elements != frequent)
    lengths = np.diff(where, prepend=-1) - 1
    behind = len(elements) - 1 - (int(where[-1]) if len(where) else -1)
    return elements[where], np.append(lengths, behind) if behind else lengths


def _tokens(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Token, extra bits and their number for each run: 0 to 7 as they are, then four tokens for each doubling."""
    log = np.frexp(np.maximum(lengths, 1).astype(np.float64))[1].astype(np.int64) - 1
    width = np.maximum(log - 2, 0)
    tokens = np.where(lengths < 4, lengths, 4 * (log - 1) + ((lengths >> width) & 3))
    return tokens, lengths & ((1 << width) - 1), width


def _shortest(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `_tokens`: the shortest run of each token, and the number of its extra bits."""
    tokens = tokens.astype(np.int64)
    width = np.maximum(tokens // 4 - 1, 0)
    return np.where(tokens < 4, tokens, (4 + tokens % 4) << width), width


def _decoded_plane(reader: BitReader, length: int, must_be: int | None) -> np.ndarray:
    """The bytes of the next plane."""
    width, sparse = reader.take(5) + 1, reader.take(1)
    if must_be and width != must_be:
        raise Damaged(f"a plane has elements of {width} bits")
    count, largest = (8 * length + width - 1) // width, (1 << width) - 1
    if sparse:
        frequent = reader.take(width)
        elements = _decoded_runs(reader, Code.read(reader, LARGEST_RUN), Code.read(reader, largest), count, frequent)
    else:
        elements = _decoded_values(reader, Code.read(reader, largest), count)
    return _bytes(elements, width, length)


def _decoded_values(reader: BitReader, values: Code, count: int) -> np.ndarray:
    if len(values.symbols) == 1:
        return np.full(count, values.symbols[0], np.uint32)
    symbols, widths = values.table
    elements, filled = np.empty(count, np.uint32), 0
    while filled < count:
        heads, inside = reader.ahead(_AT_ONCE, _AHEAD)
        codes = heads & _CODE
        after = np.arange(inside) + widths[codes[:inside]]
        found = _followed(after, count - filled)
        elements[filled : filled + len(found)] = symbols[codes[found]]
        filled += len(found)
        reader.skip(int(after[found[-1]]))
    return elements


def _decoded_runs(reader: BitReader, runs: Code, values: Code, count: int, frequent: int) -> np.ndarray:
    """Positions of the bits are followed from pair to pair of run and value, then all pairs are read at once."""
    if len(runs.symbols) == len(values.symbols) == 1:
        raise Damaged("runs and values take no bits")
    (tokens, run_widths), (symbols, value_widths) = runs.table, values.table
    elements, filled = np.full(count, frequent, np.uint32), 0
    while filled < count:
        heads, inside = reader.ahead(_AT_ONCE, _AHEAD)
        codes = heads & _CODE
        shortest, extra_widths = _shortest(tokens[codes[:inside]])
        behind_code = np.arange(inside) + run_widths[codes[:inside]]
        behind_run = behind_code + extra_widths
        after = behind_run + value_widths[codes[behind_run]]
        found = _followed(after, count - filled)
        extra = heads[behind_code[found]] & ((np.uint64(1) << extra_widths[found].astype(np.uint64)) - np.uint64(1))
        ends = filled + np.cumsum(shortest[found] + extra.astype(np.int64) + 1)
        whole = int(np.searchsorted(ends, count, side="right"))
        elements[ends[:whole] - 1] = symbols[codes[behind_run[found[:whole]]]]
        if whole:
            filled, used = int(ends[whole - 1]), int(after[found[whole - 1]])
        if filled < count and whole < len(found):  # the last run, which has no value behind it
            if ends[whole] - 1 != count:
                raise Damaged("a run is longer than what is left")
            filled, used = count, int(behind_run[found[whole]])
        reader.skip(used)
    return elements


def _followed(after: np.ndarray, most: int) -> np.ndarray:
    """Positions 0, after[0], after[after[0]] and so on inside the array, no more than `most`."""
    following, position, end = after.tolist(), 0, len(after)
    found: list[int] = []
    while position < end and len(found) < most:
        found.append(position)
        position = following[position]
    return np.array(found, np.int64)
