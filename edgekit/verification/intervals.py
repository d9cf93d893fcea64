"""95 % confidence intervals for a metric, and for the difference of two metrics on the same samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
_Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % confidence interval.

    Attributes:
        value: Measured on the samples.
        low: Lower limit.
        high: Upper limit.
        method: How the limits were found.
    """

    value: float
    low: float
    high: float
    method: str

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def proportion(successes: int, trials: int) -> Estimate:
    """Wilson's score interval (Wilson 1927, JASA 22, 209-212) of a proportion."""
    low, high = _wilson(successes, trials)
    return Estimate(successes / trials, low, high, "wilson")


def _wilson(successes: int, trials: int) -> tuple[float, float]:
    p, z2 = successes / trials, _Z * _Z
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == trials else centre + half)


def paired_difference(first: np.ndarray, second: np.ndarray) -> Estimate:
    """Interval of the difference ``mean(first) - mean(second)`` of two proportions on the same samples.

    Newcombe's method 10 (Newcombe 1998, Statistics in Medicine 17, 2635-2650, section 3.2): the Wilson limits of
    both proportions are squared and added, with a continuity-corrected correlation between them.

    Args:
        first: Success of each sample, shape (samples,), bool.
        second: The same, same order.
    """
    both, only_first = int(np.sum(first & second)), int(np.sum(first & ~second))
    only_second, neither = int(np.sum(~first & second)), int(np.sum(~first & ~second))
    n = both + only_first + only_second + neither
    p1, p2 = (both + only_first) / n, (both + only_second) / n
    low1, high1 = _wilson(both + only_first, n)
    low2, high2 = _wilson(both + only_second, n)
    phi = _correlation(both, only_first, only_second, neither)
    below = (p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2
    above = (p2 - low2) ** 2 - 2 * phi * (p2 - low2) * (high1 - p1) + (high1 - p1) ** 2
    difference = (only_first - only_second) / n
    return Estimate(difference, difference - math.sqrt(max(below, 0.0)), difference + math.sqrt(max(above, 0.0)), "newcombe paired")


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> float:
    n = both + only_first + only_second + neither
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    product = both * neither - only_first * only_second
    corrected = max(product - n / 2, 0.0) if product > 0 else float(product)
    return corrected / math.sqrt(margins)


def bootstrap(statistic: Callable[[np.ndarray], np.ndarray], samples: int, resamples: int = RESAMPLES) -> tuple[Estimate, ...]:
    """Percentile bootstrap intervals (Efron and Tibshirani 1993, chapter 13) of several statistics at once.

    The same resamples serve all statistics, so that one of them may be a paired difference. Deterministic.

    Args:
        statistic: Maps sample indices of shape (samples,) to the statistics, shape (k,).
        samples: How many samples there are.
        resamples: How many times to draw.
    """
    rng = np.random.default_rng(0)
    values = statistic(np.arange(samples))
    drawn = np.stack([statistic(rng.integers(0, samples, samples)) for _ in range(resamples)])
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    return tuple(_percentiles(float(v), column, tails) for v, column in zip(values, drawn.T, strict=True))


def _percentiles(value: float, drawn: np.ndarray, tails: list[float]) -> Estimate:
    finite = drawn[np.isfinite(drawn)]  # a metric may be undefined on a resample, such as AUC where only one class was drawn
    low, high = np.percentile(finite, tails) if len(finite) else (math.nan, math.nan)
    return Estimate(value, float(low), float(high), "bootstrap")
