"""Whether a measurement can be trusted. Each doubt is one rule here, with its threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.devices.machine import DeviceState
from edgekit.errors import InvalidMeasurement
from edgekit.profiling.state import Load
from edgekit.profiling.statistics import PERCENTILE_FLOORS, Interval, trend, variation
from edgekit.timing import Launch, OpTime

IMPRECISE = 0.05
"""Half the interval of the median, as a share of it."""
DISAGREE = 0.10
"""Coefficient of variation of launch medians."""
STARVED = 0.90
"""CPU seconds a wall second the timed process must get."""
CONTENDED = 0.5
"""Busy cores of other processes that are too many where there is no core to spare."""
STOLEN = 0.05
"""Cores the hypervisor may take."""
CLOCK_DROP = 0.10
HOT_C = 95.0
WARMED_C = 20.0
CHANGED = 0.05
"""Change of launch medians from first to last."""
SCATTERED = 0.25
"""Coefficient of variation of the runs of a launch between their 5th and 95th percentiles."""


@dataclass(frozen=True)
class Finding:
    """A doubt.

    Attributes:
        code: A word to filter by.
        text: What was seen, and what helps.
    """

    code: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """Both."""
        return vars(self)


@dataclass(frozen=True)
class Demands:
    """What the user needs of a measurement beyond a median to rely on.

    Attributes:
        percentile: One that must be told: 90, 95 or 99.
        delegated: Whether every operator must run in the delegate.
    """

    percentile: int | None = None
    delegated: bool = False


NOTHING_MORE = Demands()


@dataclass(frozen=True)
class Validity:
    """The doubts about a measurement.

    Attributes:
        reasons: Any of these makes it invalid.
        warnings: These only deserve a look.
    """

    reasons: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether it can be trusted."""
        return not self.reasons

    def require(self, what: str, next_step: str) -> None:
        """Refuse what cannot be trusted.

        Args:
            what: It, as the beginning of a sentence.
            next_step: What may help.

        Raises:
            InvalidMeasurement: It says why not.
        """
        if not self.valid:
            reasons = "; ".join(f.text for f in self.reasons)
            raise InvalidMeasurement(f"{what} cannot be trusted: {reasons}", next_step=next_step)

    def also(self, warnings: Iterable[Finding]) -> Validity:
        """The same with further warnings."""
        return Validity(self.reasons, (*self.warnings, *warnings))

    def because(self, reasons: Iterable[Finding]) -> Validity:
        """The same with further reasons not to be trusted, before the others."""
        return Validity((*reasons, *self.reasons), self.warnings)

    def to_json(self) -> dict[str, Any]:
        """The record's form."""
        return {"valid": self.valid, "reasons": [f.to_json() for f in self.reasons], "warnings": [f.to_json() for f in self.warnings]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Validity:
        """Inverse of `to_json`."""
        return cls(*(tuple(Finding(**f) for f in data[key]) for key in ("reasons", "warnings")))


def judge(
    launches: Sequence[Launch],
    asked: int,
    median: Interval,
    *,
    before: DeviceState,
    after: DeviceState,
    threads: int,
    cores: int,
    ops: Sequence[OpTime],
    demands: Demands = NOTHING_MORE,
) -> Validity:
    """All doubts about a profile.

    Args:
        launches: That were finished.
        asked: Launches that were to be made.
        median: The estimate, in any unit.
        before: State before the first launch.
        after: State after the last.
        threads: The model ran on.
        cores: Processors the process may use.
        ops: Per-operator rows, for those a delegate left behind.
        demands: What makes it invalid though nothing disturbed it.
    """
    load = Load.between(before, after)
    reasons = (
        *_interrupted(len(launches), asked),
        *_samples(launches, median),
        *_neighbours(launches, load, threads, cores),
        *_throttled(launches, before, after),
        *_unmet(launches, demands),
    )
    left = tuple(_fallbacks(ops))
    warnings = tuple(_hints(launches, load, before, after))
    return Validity((*reasons, *left), warnings) if demands.delegated else Validity(reasons, (*warnings, *left))


def _interrupted(done: int, asked: int) -> Iterator[Finding]:
    if done < asked:
        yield Finding("partial", f"interrupted after {done} of {asked} launches")


def _samples(launches: Sequence[Launch], median: Interval) -> Iterator[Finding]:
    samples = [launch.timings.samples_ns for launch in launches]
    if any((s <= 0).any() for s in samples):
        yield Finding("clock-jump", "a run took no time or less: the clock jumped")
    if median.half_width > IMPRECISE:
        known = f"the median is known to ±{median.half_width:.0%} only, wanted ±{IMPRECISE:.0%}"
        yield Finding("imprecise", f"{known}: make more launches, on a quieter machine")
    scatter = float(np.median([_central_variation(s) for s in samples]))
    if scatter > SCATTERED:
        yield Finding("scattered", f"runs of a launch vary by {scatter:.0%} (coefficient of variation without the outer tenth)")
    medians = np.array([np.median(s) for s in samples])
    if len(medians) > 1 and variation(medians) > DISAGREE:
        yield Finding(
            "launches-disagree",
            f"medians of launches differ by {variation(medians):.0%} (coefficient of variation): something else changed between them",
        )
    if len(medians) >= 5 and _rising(medians):
        yield Finding(
            "throttling", f"launches became slower one by one, {medians[-1] / medians[0] - 1:.0%} in all: heat or a falling clock"
        )
    drifting = [trend(s) for s in samples]
    if sum(t.is_drift for t in drifting) > len(samples) / 2:
        change = float(np.median([t.change for t in drifting]))
        yield Finding("drift", f"times changed by {change:+.0%} within launches: not a steady state")


def _central_variation(samples: np.ndarray) -> float:
    """Coefficient of variation without the fastest and the slowest twentieth: outliers are counted elsewhere."""
    low, high = np.percentile(samples, (5, 95))
    return variation(samples[(samples >= low) & (samples <= high)])


def _rising(medians: np.ndarray) -> bool:
    """Whether later launches are slower, all in order."""
    if medians[-1] <= medians[0] * (1 + CHANGED):
        return False
    from scipy import stats  # noqa: PLC0415 - see `edgekit.profiling.statistics`

    return bool(stats.kendalltau(np.arange(len(medians)), medians).statistic >= 0.9)


def _neighbours(launches: Sequence[Launch], load: Load, threads: int, cores: int) -> Iterator[Finding]:
    share = float(np.median([launch.timings.cpu_share for launch in launches]))
    if share < STARVED:
        yield Finding("starved", f"the timed process got the CPU {share:.0%} of the time: other processes were in its way")
    if load.others > CONTENDED and load.others + threads > cores:
        yield Finding("background-load", f"other processes kept {load.others:.1f} of {cores} cores busy: stop them")
    if load.stolen > STOLEN:
        yield Finding("stolen", f"the hypervisor gave {load.stolen:.2f} cores to other machines")


def _throttled(launches: Sequence[Launch], before: DeviceState, after: DeviceState) -> Iterator[Finding]:
    if after.at < before.at:
        yield Finding("rebooted", "the device's time since it started fell: it rebooted in between")
    if before.clock_mhz and after.clock_mhz and after.clock_mhz < before.clock_mhz * (1 - CLOCK_DROP):
        yield Finding("clock", f"the clock fell from {before.clock_mhz:.0f} to {after.clock_mhz:.0f} MHz")
    falls = [f for launch in launches if (f := _fall(launch.timings.readings[:, 2])) is not None]
    if sum(fall > CLOCK_DROP for fall in falls) > len(launches) / 2:
        yield Finding("clock", f"the clock fell by {float(np.median(falls)):.0%} within launches")
    hottest = max(after.temperature_c or -np.inf, *(np.nanmax([*n.timings.readings[:, 3], -np.inf]) for n in launches))
    if hottest >= HOT_C:
        yield Finding("hot", f"the processor reached {hottest:.0f} °C: let it cool")


def _fall(clocks: np.ndarray) -> float | None:
    """From the mean of the first readings of a launch to that of the last, as a share; None for too few readings."""
    known = clocks[~np.isnan(clocks)]
    if len(known) < 4:
        return None
    quarter = len(known) // 4
    return float(1 - known[-quarter:].mean() / known[:quarter].mean())


def _unmet(launches: Sequence[Launch], demands: Demands) -> Iterator[Finding]:
    runs = sum(len(launch.timings.samples_ns) for launch in launches)
    if demands.percentile is not None and runs < PERCENTILE_FLOORS[demands.percentile]:
        needed = PERCENTILE_FLOORS[demands.percentile]
        yield Finding("percentile", f"p{demands.percentile} needs {needed} samples, there are {runs}: make more launches")


def _hints(launches: Sequence[Launch], load: Load, before: DeviceState, after: DeviceState) -> Iterator[Finding]:
    unstable = sum(not launch.timings.stable for launch in launches)
    if unstable:
        yield Finding("warm-up", f"{unstable} of {len(launches)} launches were still changing when warm-up ended")
    if load.others > CONTENDED / 2:
        yield Finding("other-processes", f"other processes used {load.others:.1f} cores")
    if after.governor not in (None, "performance"):
        yield Finding("governor", f"the clock governor is {after.governor!r}, not 'performance': times depend on what ran before")
    if before.temperature_c is not None and after.temperature_c is not None and after.temperature_c - before.temperature_c > WARMED_C:
        yield Finding("warming", f"the processor warmed from {before.temperature_c:.0f} to {after.temperature_c:.0f} °C")
    if after.on_battery:
        yield Finding("battery", "the machine runs on its battery")


def _fallbacks(ops: Sequence[OpTime]) -> Iterator[Finding]:
    left = [op.name for op in ops if not op.delegated]
    if left and len(left) < len(ops):
        yield Finding("fallback", f"{len(left)} of {len(ops)} operators ran outside the delegate: {', '.join(sorted(set(left)))}")
