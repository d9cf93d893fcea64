"""What back-to-back runs for a long time show: the latency curve, when throttling began, and the steady state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from edgekit.timing import Pace, Timings

WINDOWS = 60
FEWEST_RUNS = 20
"""In a window, so that its median and its 10th and 90th percentiles mean something."""
SLOWER = 0.05
"""What counts as throttling: from the unthrottled level to the steady state."""
LEFT = 0.02
"""How far above the unthrottled level a window must be to have left it."""


@dataclass(frozen=True)
class Window:
    """A stretch of time.

    Attributes:
        at_s: Its middle, in seconds since the start.
        median_ms: Of its runs.
        low_ms: Their 10th percentile.
        high_ms: Their 90th.
        runs: How many.
        clock_mhz: Mean of the readings in it, or None.
        temperature_c: The same.
    """

    at_s: float
    median_ms: float
    low_ms: float
    high_ms: float
    runs: int
    clock_mhz: float | None
    temperature_c: float | None


@dataclass(frozen=True)
class Sustained:
    """A long launch.

    Attributes:
        seconds: Asked for.
        curve: Windows in order.
        throttled_at_s: When times began to rise for good, or None if they did not.
        steady_ms: Median of the last third.
        peak_ms: Median of the fastest window.
        change: Steady against the level it began at (the first tenth), as a share of that.
    """

    seconds: float
    curve: tuple[Window, ...]
    throttled_at_s: float | None
    steady_ms: float
    peak_ms: float
    change: float

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {**asdict(self), "curve": [asdict(window) for window in self.curve]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sustained:
        """Inverse of `to_json`."""
        return cls(**{**data, "curve": tuple(Window(**window) for window in data["curve"])})


def endless(seconds: float) -> Pace:
    """A launch that samples for so long, however well the median is known."""
    return Pace(min_seconds=seconds, max_seconds=seconds, max_samples=20_000_000, precision=0.0, warmup_seconds=0.0)


def sustained(timings: Timings, seconds: float) -> Sustained:
    """Read a long launch."""
    curve = windows(timings)
    medians = np.array([window.median_ms for window in curve])
    begin = float(np.median(medians[: max(1, len(medians) // 10)]))
    steady = float(np.median(medians[-max(1, len(medians) // 3) :]))
    onset = throttling(medians)
    return Sustained(seconds, curve, None if onset is None else curve[onset].at_s, steady, float(medians.min()), steady / begin - 1)


def windows(timings: Timings) -> tuple[Window, ...]:
    """The samples by when they ran."""
    ms, at = timings.samples_ns / 1e6, when(timings)
    count = int(np.clip(len(ms) // FEWEST_RUNS, 1, WINDOWS))
    edges = np.linspace(0, at[-1], count + 1)
    inside = [(low, high, (at > low) & (at <= high)) for low, high in pairwise(edges)]
    return tuple(_window(ms[mask], low, high, timings.readings) for low, high, mask in inside if mask.any())


def when(timings: Timings) -> np.ndarray:
    """Seconds since the start at which each run ended: between readings, runs follow each other without a gap."""
    readings = timings.readings
    index = np.arange(1, len(timings.samples_ns) + 1)
    if len(readings) > 1 and readings[-1, 0] == len(index):
        return np.asarray(np.interp(index, readings[:, 0], readings[:, 1]))
    return np.asarray(np.cumsum(timings.samples_ns) / 1e9)


def _window(ms: np.ndarray, low: float, high: float, readings: np.ndarray) -> Window:
    p10, median, p90 = np.percentile(ms, (10, 50, 90))
    seen = readings[(readings[:, 1] >= low) & (readings[:, 1] <= high)] if len(readings) else np.zeros((0, 4))
    return Window(float(low + high) / 2, float(median), float(p10), float(p90), len(ms), _mean(seen[:, 2]), _mean(seen[:, 3]))


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def throttling(medians: np.ndarray | Sequence[float]) -> int | None:
    """The first window after which times stay above the level they began at, if they rose by 5 % or more for good.

    The change point is Pettitt's ("A non-parametric approach to the change-point problem", Applied Statistics 1979), each
    statistic divided by its standard deviation, so that early and late changes are not missed. Both sides are tested by Mann
    and Whitney, Bonferroni corrected for the choice among all points (p < 0.01). In a slow rise the change point is its
    middle, so the beginning is looked for before it: where windows leave the level of the first ones and do not come back.
    """
    values = np.asarray(medians, float)
    n = len(values)
    if n < 8:
        return None
    signs = np.sign(values[:, None] - values[None, :])
    statistic = np.array([abs(signs[:k, k:].sum()) / np.sqrt(k * (n - k)) for k in range(1, n)])
    change = int(statistic.argmax())
    before, after = values[: change + 1], values[change + 1 :]
    from scipy import stats  # noqa: PLC0415 - see `edgekit.profiling.statistics`

    p = (n - 1) * stats.mannwhitneyu(before, after).pvalue
    if p >= 0.01 or np.median(after) < np.median(before) * (1 + SLOWER):
        return None
    level = np.median(values[: max(1, (change + 1) // 3)])
    risen = _smooth(values) > level * (1 + LEFT)
    back = np.flatnonzero(~risen[: change + 2])
    return min(int(back[-1]) + 1, change + 1) if len(back) else 0


def _smooth(values: np.ndarray) -> np.ndarray:
    """Running median of three, so that one odd window neither begins nor ends anything."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    return np.asarray(np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0))
