"""What samples of several launches say about a duration, and how surely. Pure functions of arrays.

Two things vary: runs within a launch, and launches (memory layout, hash seeds, cache state, clock): more samples of one
launch do not help with the second (Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013). So the
estimate is the median of launch medians, and its interval a bootstrap over launches and, within each, over runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PERCENTILE_FLOORS = {90: 64, 95: 130, 99: 662}
"""The fewest samples from which a percentile is told: those of the early-stopping rule of MLPerf's LoadGen."""

DRAWS = 4000
DRIFT = 0.05
"""Change within a launch that matters."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, resampled: np.ndarray) -> Interval:
        """The bootstrap's percentile interval: between the outer 2.5 % of what resamples gave, to either side."""
        low, high = np.quantile(resampled, [0.025, 0.975])
        return cls(value, float(low), float(high))

    @property
    def half_width(self) -> float:
        """Half the interval as a share of the estimate."""
        return (self.high - self.low) / 2 / self.value if self.value else float("inf")


def median_of_medians(launches: Sequence[np.ndarray], seed: int = 0) -> Interval:
    """The median of launch medians, with its bootstrap interval.

    Args:
        launches: Samples of each launch.
        seed: Of the draws; the same samples give the same interval.
    """
    rng = np.random.default_rng(seed)
    resampled = resampled_medians([bootstrap_medians(s, DRAWS, rng) for s in launches], rng)
    return Interval.around(float(np.median([np.median(s) for s in launches])), resampled)


def resampled_medians(drawn: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Medians over resamples of launches.

    Args:
        drawn: Of each launch, the statistic of `DRAWS` resamples of its runs, shape (DRAWS,).
        rng: Draws launches anew for every resample.

    Returns:
        Shape (DRAWS,).
    """
    table = np.stack(drawn)
    chosen = rng.integers(0, len(table), table.shape)
    return np.asarray(np.median(np.take_along_axis(table, chosen, axis=0), axis=0))


def bootstrap_medians(samples: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Medians of `draws` bootstrap resamples, without resampling.

    The k-th order statistic of n draws from n sorted samples is the sample at rank ⌈n·U⌉, where U is the k-th order
    statistic of n uniforms: Beta(k, n + 1 - k) distributed (Hutson and Ernst, "The exact bootstrap mean and variance of an
    L-estimator", JRSS B 2000). Exact, and as quick for 20,000 samples as for ten.
    """
    n = len(samples)
    ordered = np.sort(samples)
    lower = (n + 1) // 2
    position = rng.beta(lower, n + 1 - lower, draws)
    median = _at(ordered, position)
    if n % 2 == 0:  # the next order statistic is the least of the n - lower uniforms above
        median = (median + _at(ordered, position + (1 - position) * rng.beta(1, n - lower, draws))) / 2
    return median


def _at(ordered: np.ndarray, position: np.ndarray) -> np.ndarray:
    """The sample that each uniform of (0, 1] draws."""
    ranks = np.ceil(len(ordered) * position).astype(int)
    drawn: np.ndarray = ordered[np.clip(ranks, 1, len(ordered)) - 1].astype(float)
    return drawn


def percentile(samples: np.ndarray, p: int) -> float | None:
    """The p-th percentile, or None where there are too few samples to tell it."""
    return float(np.percentile(samples, p)) if len(samples) >= PERCENTILE_FLOORS[p] else None


def variation(values: np.ndarray) -> float:
    """Coefficient of variation: standard deviation as a share of the mean."""
    return float(np.std(values, ddof=1) / np.mean(values)) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class Trend:
    """Whether samples rise or fall over a launch.

    Attributes:
        change: From the start to the end of the launch, as a share of the median; positive is slower.
        significance: p-value of there being none; 1 where the change is too small to matter.
    """

    change: float
    significance: float

    @property
    def is_drift(self) -> bool:
        """A change of 5 % or more that is not chance (p < 0.01)."""
        return abs(self.change) >= DRIFT and self.significance < 0.01


def trend(samples: np.ndarray, windows: int = 20) -> Trend:
    """Slope and its significance, on medians of successive windows, which outliers do not move.

    The slope is Theil and Sen's. Two tests, Bonferroni corrected: Mann and Kendall's sees a ramp, Mann and Whitney's
    between the halves a step.
    """
    if len(samples) < 2 * windows:
        return Trend(0.0, 1.0)
    medians = np.array([np.median(w) for w in np.array_split(samples, windows)])
    if np.ptp(medians) == 0:
        return Trend(0.0, 1.0)
    change = float(_slope(medians) * (windows - 1) / np.median(medians))
    return Trend(change, _chance(medians) if abs(change) >= DRIFT else 1.0)


def _slope(values: np.ndarray) -> float:
    """The median slope of all pairs (Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 1968)."""
    i, j = np.triu_indices(len(values), 1)
    return float(np.median((values[j] - values[i]) / (j - i)))


def _chance(medians: np.ndarray) -> float:
    from scipy import stats  # noqa: PLC0415 - takes longer to import than a quick profile takes to measure, and is seldom needed

    half = len(medians) // 2
    ramp = stats.kendalltau(np.arange(len(medians)), medians).pvalue
    step = stats.mannwhitneyu(medians[:half], medians[half:]).pvalue
    return float(min(1.0, 2 * min(ramp, step)))


def paired_ratio(a: Sequence[np.ndarray], b: Sequence[np.ndarray], seed: int = 0) -> Interval:
    """How many times as long `b` takes as `a`, from launches taken in pairs.

    The statistic is the median of the pairs' ratios, which a launch that something disturbed hardly moves. Pairs are
    resampled, and runs within each launch.

    Args:
        a: Samples of each launch of the one.
        b: Samples of the launch of the other that stood beside it, in the same order.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    drawn = [bootstrap_medians(y, DRAWS, rng) / bootstrap_medians(x, DRAWS, rng) for x, y in zip(a, b, strict=True)]
    value = float(np.median([np.median(y) / np.median(x) for x, y in zip(a, b, strict=True)]))
    return Interval.around(value, resampled_medians(drawn, rng))
