"""Ranges chosen from a histogram: percentile, least squared error, least information lost."""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit.compress.quantize.histogram import Histogram

CANDIDATES = 128

EVENLY = 0.05
"""Share by which all values count alike even where errors are weighed: what did not matter on these samples may on others."""


def percentile_range(seen: Histogram, percentile: float) -> tuple[float, float]:
    """The values that leave ``100 - percentile`` percent beyond each end.

    Args:
        seen: The data.
        percentile: In percent, over 50.
    """
    total = seen.counts.cumsum(0)
    edges = torch.linspace(-seen.reach, seen.reach, len(total) + 1, dtype=torch.float64)
    tail = float(total[-1]) * (1 - percentile / 100)
    low = float(edges[torch.searchsorted(total, tail, right=True).clamp_max(len(total) - 1)])
    high = float(edges[torch.searchsorted(total, float(total[-1]) - tail).clamp_max(len(total) - 1) + 1])
    return max(low, seen.low), min(high, seen.high)


def mse_range(seen: Histogram, levels: int, symmetric: bool, *, weighed: bool = False) -> tuple[float, float]:
    """The range with the least expected squared error.

    Values inside are off by a uniform rounding error of variance step²/12, except zeros, which every grid holds exactly;
    values outside are off by their distance to the range. Both ends are searched together (Sung et al. 2015,
    "Resiliency of deep neural networks under quantization"; Banner et al. 2019, ACIQ).

    Args:
        seen: The data.
        levels: Steps of the integer range.
        symmetric: Whether the range must be symmetric about 0.
        weighed: Whether errors weigh what `seen` says of them.
    """
    counts, centers = _without_zeros(seen.weighted(EVENLY) if weighed else seen.counts), seen.centers
    fractions = torch.linspace(1, CANDIDATES, CANDIDATES, dtype=torch.float64) / CANDIDATES
    reach = max(abs(seen.low), abs(seen.high))
    highs = fractions * (reach if symmetric else max(seen.high, 0.0))
    lows = fractions * (reach if symmetric else max(-seen.low, 0.0))
    above, over = _clipping(counts, centers, highs)
    below, under = _clipping(counts.flip(0), centers, lows)
    inside = counts.sum()
    if symmetric:
        error = above + below + (2 * highs / levels) ** 2 / 12 * (inside - over - under)
        best = float(highs[error.argmin()])
        return -best, best
    step = (lows[:, None] + highs[None, :]) / levels
    error = below[:, None] + above[None, :] + step**2 / 12 * (inside - under[:, None] - over[None, :])
    row, column = divmod(int(error.argmin()), CANDIDATES)
    return -float(lows[row]), float(highs[column])


def entropy_range(seen: Histogram, levels: int, symmetric: bool) -> tuple[float, float]:
    """The range whose grid loses the least information (Migacz 2017, "8-bit inference with TensorRT").

    For each candidate, P is the distribution with its tails moved to the ends, Q the distribution inside the range after
    rounding, each step's mass spread evenly over the bins that fed it; the candidate with the least KL(P, Q) wins.
    Both ends shrink by the same factor.

    Args:
        seen: The data.
        levels: Steps of the integer range.
        symmetric: Whether the range must be symmetric about 0.
    """
    counts, centers = _without_zeros(seen.counts), seen.centers
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if symmetric:
        high = max(-low, high)
        low = -high
    best = (float("inf"), (low, high))
    for fraction in torch.linspace(0.25, 1, CANDIDATES, dtype=torch.float64).flip(0).tolist():
        lost = _divergence(counts, centers, low * fraction, high * fraction, levels)
        if lost < best[0]:
            best = (lost, (low * fraction, high * fraction))
    return best[1]


def _without_zeros(counted: Tensor) -> Tensor:
    """Counts, less the two bins at zero, which hold exact zeros (ReLU's) or next to it."""
    counts, middle = counted.clone(), len(counted) // 2
    counts[middle - 1 : middle + 1] = 0
    return counts


def _clipping(counts: Tensor, centers: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Summed squared distance to each of `ends` of the values above it, and their number."""
    zero, one, two = (_sums_from(counts * centers**power) for power in range(3))
    first = torch.searchsorted(centers, ends)
    n, s, q = zero[first], one[first], two[first]
    return (q - 2 * ends * s + ends**2 * n).clamp_min(0), n


def _sums_from(values: Tensor) -> Tensor:
    """Entry i is the sum of values[i:]; one entry more than `values`."""
    return torch.nn.functional.pad(values.flip(0).cumsum(0).flip(0), (0, 1))


def _divergence(counts: Tensor, centers: Tensor, low: float, high: float, levels: int) -> float:
    first, last = int(torch.searchsorted(centers, low)), int(torch.searchsorted(centers, high))
    if last - first < 2:
        return float("inf")
    kept = counts[first:last]
    p = kept.clone()
    p[0] += counts[:first].sum()
    p[-1] += counts[last:].sum()
    level = ((centers[first:last] - low) / (high - low) * levels).round().long().clamp_(0, levels)
    filled = (p > 0).double()
    mass = torch.zeros(levels + 1, dtype=torch.float64).index_add_(0, level, kept)
    bins = torch.zeros(levels + 1, dtype=torch.float64).index_add_(0, level, filled)
    q = (mass / bins.clamp_min(1))[level] * filled
    p, q = p / p.sum().clamp_min(1e-300), q / q.sum().clamp_min(1e-300)
    return float((p * (p.clamp_min(1e-300).log() - q.clamp_min(1e-12).log())).sum())
