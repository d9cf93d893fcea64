"""A histogram that grows with its data, so that one pass over the samples is enough."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BINS = 8192
"""Bins over [-reach, reach]: at least 2048 over the data, even where they are one-sided and just past a power of two."""

SAMPLED = 1 << 20
"""Elements of one tensor that are counted; a longer one is read at even strides (never at random: runs must agree)."""

WEIGHED = 1 << 17
"""Elements of one tensor that are weighed."""

GROUPS = 64
"""Sizes of value that `Histogram.weighted` tells apart."""

HUGE = 1e30
"""Magnitudes from here on are stand-ins for infinity (attention masks), not data."""


class Histogram:
    """Counts of values in equal bins over [-reach, reach], `reach` a power of two.

    When a value falls outside, the reach doubles and neighbouring bins merge, which loses nothing: the result does not
    depend on how the data were batched.

    Attributes:
        low: Smallest finite value seen, 0 if none.
        high: Largest finite value seen, 0 if none.
        seen: Number of finite values seen.
        dropped: Number of values that were NaN or infinite.
        weights: Sums of the weights of the values that were weighed, by bin.
        weighed: Their number, by bin.
        masked: Whether values stood in for minus infinity (at most `-HUGE`).
    """

    def __init__(self, bins: int = BINS, *, counting: bool = True) -> None:
        self.counts = torch.zeros(bins, dtype=torch.float64)
        self.weights = torch.zeros(bins, dtype=torch.float64)
        self.weighed = torch.zeros(bins, dtype=torch.float64)
        self.reach = 0.0
        self.low, self.high = math.inf, -math.inf
        self.seen = self.dropped = 0
        self.masked = False
        self._counting = counting

    def add(self, values: Tensor) -> None:
        """Count the elements of a float tensor."""
        values = values.detach().flatten()
        if values.numel() == 0:
            return
        low, high = (float(v) for v in values.aminmax())
        if not (low > -HUGE and high < HUGE):  # True for NaN, too
            values = self._data(values)
            if values.numel() == 0:
                return
            low, high = (float(v) for v in values.aminmax())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.seen += values.numel()
        if self._counting:
            self._count(_strided(values))

    def weigh(self, values: Tensor, weights: Tensor) -> None:
        """Say what errors of values weigh that were added before.

        Args:
            values: Some of them.
            weights: Of the same shape.
        """
        values, weights = (_strided(t.detach().flatten(), WEIGHED) for t in (values, weights))
        real = (values.abs() <= self.reach) & weights.isfinite()
        bins = len(self.weights)
        where = ((values[real] / (self.reach or 1.0) + 1) * (bins / 2)).long().clamp_(0, bins - 1)
        self.weights += torch.bincount(where, weights[real].double(), minlength=bins)
        self.weighed += torch.bincount(where, minlength=bins)

    def weighted(self, evenly: float) -> Tensor:
        """The counts times the mean weight of values of that size, as a share of the mean weight of all.

        Few samples are weighed and many counted, so the mean is taken over `GROUPS` groups of neighbouring bins that hold
        as many weighed values each. Exact zeros are left out: there are many, and no grid errs on them.

        Args:
            evenly: Added to each share: what did not matter in a few samples may in others.
        """
        middle = len(self.weighed) // 2
        counts, sums = self.weighed.clone(), self.weights.clone()
        counts[middle - 1 : middle + 1] = sums[middle - 1 : middle + 1] = 0
        if float(sums.sum()) == 0:
            return self.counts
        group = ((counts.cumsum(0) - counts / 2) / counts.sum() * GROUPS).long().clamp_(0, GROUPS - 1)
        total, count = (torch.zeros(GROUPS, dtype=torch.float64).index_add_(0, group, t) for t in (sums, counts))
        overall = sums.sum() / counts.sum()
        share = torch.where(count > 0, total / count.clamp_min(1), overall) / overall
        return self.counts * (share[group] + evenly)

    def merge(self, other: Histogram) -> None:
        """Count what another histogram counted."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.seen, self.dropped, self.masked = self.seen + other.seen, self.dropped + other.dropped, self.masked or other.masked
        reach = max(self.reach, other.reach)
        self.counts = _grown(self.counts, self.reach, reach) + _grown(other.counts, other.reach, reach)
        self.weights = _grown(self.weights, self.reach, reach) + _grown(other.weights, other.reach, reach)
        self.weighed = _grown(self.weighed, self.reach, reach) + _grown(other.weighed, other.reach, reach)
        self.reach = reach

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value, (0, 0) if nothing was seen."""
        return (self.low, self.high) if self.seen else (0.0, 0.0)

    @property
    def centers(self) -> Tensor:
        """The middle of each bin."""
        width = 2 * self.reach / len(self.counts)
        return (torch.arange(len(self.counts), dtype=torch.float64) + 0.5) * width - self.reach

    def _data(self, values: Tensor) -> Tensor:
        self.masked |= bool((values <= -HUGE).any())
        self.dropped += int((~values.isfinite()).sum())
        return values[values.abs() < HUGE]

    def _count(self, values: Tensor) -> None:
        reach = max(self.reach, _power_of_two(max(abs(self.low), abs(self.high))))
        self.counts = _grown(self.counts, self.reach, reach)
        self.reach = reach
        if reach:
            self.counts += torch.histc(values.float(), len(self.counts), -reach, reach)
        else:  # zeros alone: their bin stays the middle one however far the reach grows
            self.counts[len(self.counts) // 2] += values.numel()


def _power_of_two(value: float) -> float:
    """The smallest power of two that is no smaller than `value` (and not denormal); 0 for 0."""
    return 0.0 if value == 0 else max(2.0 ** math.ceil(math.log2(value)), 2.0**-120)


def _grown(counts: Tensor, reach: float, wanted: float) -> Tensor:
    while reach and reach < wanted:
        counts, reach = torch.nn.functional.pad(counts.reshape(-1, 2).sum(1), (len(counts) // 4,) * 2), reach * 2
    return counts


def _strided(values: Tensor, most: int = SAMPLED) -> Tensor:
    step = -(-values.numel() // most)
    while step > 1 and any(step % p == 0 for p in (2, 3, 5, 7)):  # coprime to the usual row lengths, to visit all columns
        step += 1
    return values[::step]
