"""Where a file's weights begin and end, found in its bytes: stretches that are cheapest in one code each.

No format is parsed, so that files of any format, and of other tools, pack as well as ours. The bytes are cut into small blocks; neighbours
are joined, those first that save most, while one code for both takes less than a code for each. What a code takes is told from
the frequencies of elements (entropy and table), what DEFLATE takes is told by running it over everything once.
"""

from __future__ import annotations

import heapq
import itertools
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgekit.packing.huffman import MOST

LARGEST = 1 << 24
"""Bytes of a segment, at most: what a decoder needs room for at once."""

_BLOCKS, _SMALLEST, _GREATEST = 2048, 64, 8192
"""Number of blocks, about, and the bytes of each."""

_HEADER = 8 * 6
"""Bits of a segment's header, about."""

_REPETITIVE = 0.75
"""Share of its bytes that DEFLATE makes of a block, at most, if it is no block of numbers."""

_COLD = 512
"""Bytes of the smallest block of which that can be said: of less, the first of a text does not shrink so far."""

_FLUSH = 5
"""Bytes that DEFLATE takes to end a block early."""


@dataclass(frozen=True)
class Stretch:
    """Some bytes, and how often each value occurs among them.

    Attributes:
        start: Position of the first byte.
        end: Behind the last.
        histogram: Of bytes, by position modulo 4, shape (4, 256).
        words: Of numbers of 32 bits that start at multiples of 4 behind `start`; None where they are more than 256.
        deflated: Bits that DEFLATE takes, about.
    """

    start: int
    end: int
    histogram: np.ndarray
    words: Counter[int] | None
    deflated: float

    @cached_property
    def bits(self) -> float:
        """What the cheapest code takes, about."""
        return _HEADER + min(8.0 * (self.end - self.start), self.deflated, self._as_elements)

    @property
    def _as_elements(self) -> float:
        bytes_ = self.histogram.sum(0)
        nibbles = bytes_.reshape(16, 16)
        pairs = self.histogram.reshape(2, 2, 256).sum(0)
        choices = [
            _entropy(bytes_[None]),
            _entropy((nibbles.sum(0) + nibbles.sum(1))[None]),
            _entropy(pairs),
            _entropy(self.histogram),
        ]
        if self.words is not None:
            counts = np.fromiter(self.words.values(), np.int64)
            choices.append(_entropy(counts[None]) + 28 * len(counts))
        return min(choices)

    def joined(self, other: Stretch) -> Stretch:
        """This and the stretch behind it."""
        words = None
        if self.words is not None and other.words is not None and (other.start - self.start) % 4 == 0:
            words = self.words + other.words
            words = words if len(words) <= MOST else None
        return Stretch(self.start, other.end, self.histogram + other.histogram, words, self.deflated + other.deflated)


def segments(data: np.ndarray, starts: list[int]) -> list[Stretch]:
    """Cuts bytes into stretches.

    Args:
        data: uint8.
        starts: Where files begin, ascending; the first is 0.

    Returns:
        One behind the other, `LARGEST` bytes long at most.
    """
    by_start = {stretch.start: stretch for stretch in _blocks(data, starts)}
    by_end = {stretch.end: stretch for stretch in by_start.values()}
    queue: list[tuple[float, int, int, Stretch]] = []
    ticket = itertools.count()  # the earlier of two that save as much

    def offer(first: Stretch | None, second: Stretch | None) -> None:
        if first is not None and second is not None and second.end - first.start <= LARGEST:
            both = first.joined(second)
            change = both.bits - first.bits - second.bits
            if change < 0:
                heapq.heappush(queue, (change, next(ticket), first.end, both))

    for stretch in list(by_start.values()):
        offer(stretch, by_start.get(stretch.end))
    while queue:
        _, _, middle, both = heapq.heappop(queue)
        first, second = by_start.get(both.start), by_start.get(middle)
        if first is None or second is None or first.end != middle or second.end != both.end:
            continue  # one of them was joined with another since
        del by_start[middle], by_end[middle]
        by_start[both.start] = by_end[both.end] = both
        offer(by_end.get(both.start), both)
        offer(both, by_start.get(both.end))
    return [by_start[start] for start in sorted(by_start)]


def _blocks(data: np.ndarray, starts: list[int]) -> Iterator[Stretch]:
    wanted = len(data) // _BLOCKS
    size = min(max(_SMALLEST, 1 << wanted.bit_length()), _GREATEST)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        for first in range(start, end, size):
            block = data[first : min(first + size, end)]
            trial = deflate.copy()
            deflated = len(trial.compress(block.tobytes())) + len(trial.flush(zlib.Z_SYNC_FLUSH)) - _FLUSH
            if deflated < (_REPETITIVE if size >= _COLD else 1) * len(block):
                deflate = trial  # numbers stay out of the history that text and structure refer to
            yield Stretch(first, first + len(block), _histogram(block), _words(block), 8.0 * max(deflated, 1))


def _histogram(block: np.ndarray) -> np.ndarray:
    phases = (np.arange(len(block)) & 3) << 8
    return np.bincount(phases + block, minlength=1024).reshape(4, 256)


def _words(block: np.ndarray) -> Counter[int] | None:
    values, counts = np.unique(block[: len(block) // 4 * 4].view("<u4"), return_counts=True)
    if len(values) > MOST:
        return None
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _entropy(counts: np.ndarray) -> float:
    """Bits of elements that occur so often, and of their tables; shape (planes, values)."""
    totals = counts.sum(1, keepdims=True)
    seen = np.maximum(counts, 1)
    used = np.count_nonzero(counts)
    return float((totals * np.log2(np.maximum(totals, 1))).sum() - (counts * np.log2(seen)).sum()) + 4.0 * used + 24.0 * len(counts)
