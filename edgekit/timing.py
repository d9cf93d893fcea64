"""How one process launch is timed, whichever runtime is timed, and the raw record it leaves.

Warm up until stable, then sample until the median is known well enough or time is up. Only raw numbers cross
from here to `edgekit.profiling`, which does the statistics over several launches.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from edgekit.plugins import RunRequest, Runtime
from edgekit.sensing import Watch


@dataclass(frozen=True)
class Pace:
    """When to stop warming up, and when to stop sampling.

    Attributes:
        min_samples: Fewer are never enough. 64 is also LoadGen's floor for a 90th percentile.
        max_samples: More are never needed; bounds the record's size.
        min_seconds: Of sampling, so that a short quiet moment is not mistaken for the whole.
        max_seconds: Of sampling; sampling ends after it whatever is known by then.
        precision: Sampling ends once half the 95 % interval of the median is below this share of it.
        warmup_seconds: Warm-up ends after it, stable or not.
        stability: Warm-up ends once the medians of three successive windows differ by less than this share.
    """

    min_samples: int = 64
    max_samples: int = 20_000
    min_seconds: float = 0.5
    max_seconds: float = 2.5
    precision: float = 0.005
    warmup_seconds: float = 1.0
    stability: float = 0.02

    def to_json(self) -> dict[str, Any]:
        """All attributes."""
        return asdict(self)


@dataclass(frozen=True)
class Timings:
    """One run of the timing loop.

    Attributes:
        warmup_ns: Durations of the warm-up calls, in order.
        samples_ns: Durations of the calls that count, in order.
        overhead_ns: Median duration the loop gives to a call that does nothing: part of every sample, not subtracted.
        cpu_share: CPU seconds this process got per wall second while sampling.
        stable: Whether warm-up ended because the times were stable.
        precise: Whether sampling ended because the median was known well enough.
        readings: Rows of runs so far, seconds since sampling began, clock in MHz and temperature in °C, taken between runs; NaN is
            what the system does not tell. Shape (readings, 4).
        energy_j: Joules the meter took over all samples, or None.
        meter: The energy meter, or None.
        meter_resolution: What it covers, and how finely.
    """

    warmup_ns: np.ndarray
    samples_ns: np.ndarray
    overhead_ns: float
    cpu_share: float
    stable: bool
    precise: bool
    readings: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    energy_j: float | None = None
    meter: str | None = None
    meter_resolution: str | None = None


_ARRAYS = ("warmup_ns", "samples_ns", "readings")


@dataclass(frozen=True)
class Launch:
    """Everything one process launch measured.

    Attributes:
        timings: Of the calls.
        cold_load_ms: From the file to ready to run, the file's pages dropped from the cache first where the system allows it; None
            where the runtime does not tell.
        warm_load_ms: The same again in the same process, or None.
        first_run_ms: The first call after the cold load, or None.
        cache_dropped: Whether the pages were dropped.
        baseline_rss_bytes: Resident memory before the model was opened, or None where the system does not tell.
        peak_rss_bytes: Its maximum during load and calls.
        arena_bytes: What the runtime planned for activations, as far as it tells.
    """

    timings: Timings
    cold_load_ms: float | None
    warm_load_ms: float | None
    first_run_ms: float | None
    cache_dropped: bool
    baseline_rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    arena_bytes: int | None = None

    def to_worker(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON and arrays, as `edgekit.worker` carries them."""
        values = {k: v for k, v in vars(self).items() if k != "timings"}
        timings = {k: v for k, v in vars(self.timings).items() if k not in _ARRAYS}
        return {**values, "timings": timings}, {k: getattr(self.timings, k) for k in _ARRAYS}

    @classmethod
    def from_worker(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Launch:
        """Inverse of `to_worker`."""
        timings: dict[str, Any] = {**values["timings"], **arrays}
        return cls(**{**values, "timings": Timings(**timings)})


@dataclass(frozen=True)
class OpTime:
    """One operator's share of a run.

    Attributes:
        index: Its position in the model file, or None for work that is no operator of the file.
        name: Its name in the format.
        kernel: The kernels that ran it, as the runtime calls them; empty if none ran for it alone.
        delegated: Whether a delegate ran it.
        mean_us: Mean microseconds a run, or None if it has no time of its own.
    """

    index: int | None
    name: str
    kernel: str
    delegated: bool
    mean_us: float | None


@dataclass(frozen=True)
class OpTrace:
    """Per-operator times of an instrumented launch, which is never the one latency comes from.

    Attributes:
        ops: In execution order; empty if not available.
        runs: Runs averaged over.
        source: Who took the times, and their resolution.
        reason: Why there are none, or None.
        planned_arena_bytes: What the runtime plans for activations when no delegate keeps its own, or None.
    """

    ops: tuple[OpTime, ...] = ()
    runs: int = 0
    source: str = ""
    reason: str | None = None
    planned_arena_bytes: int | None = None


class TimedRuntime(Runtime, Protocol):
    """A runtime that can be profiled. Each call is one fresh process."""

    def version(self) -> str:
        """Name and version of the engine."""

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """What the file holds: at least ``inputs``, each as `TensorSpec.to_json`."""

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """Time one launch; `inputs` is one sample, without its batch dimension."""

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """Take per-operator times for about so many seconds, or say why there are none."""


def sample(call: Callable[[], object], pace: Pace, idle: Callable[[], object], watch: Watch | None = None) -> Timings:
    """Time `call` again and again.

    Args:
        call: What is timed.
        pace: When to stop.
        idle: A call of the same kind that does no work; tells the loop's own overhead.
        watch: Reads clock, temperature and energy between runs; by default this machine's.
    """
    watch = watch or Watch()
    collecting = gc.isenabled()
    gc.disable()
    try:
        overhead = float(np.median(_batch(idle, 1000)))
        warmup, stable = _warm_up(call, pace)
        cpu, wall = time.process_time(), time.perf_counter()
        samples, precise = _sample(call, pace, warmup[-1], watch)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    finally:
        if collecting:
            gc.enable()
    return Timings(
        np.array(warmup, np.int64),
        np.array(samples, np.int64),
        overhead,
        share,
        stable,
        precise,
        readings=np.array(watch.table(), np.float64),
        energy_j=watch.joules(),
        meter=watch.meter.name if watch.meter else None,
        meter_resolution=watch.meter.resolution if watch.meter else None,
    )


def median_half_width(samples: list[int] | np.ndarray) -> float:
    """Half the 95 % interval of the median, as a share of it.

    The order statistics n/2 ± 0.98 √n: for large n the bootstrap's percentile interval of a median
    (Efron and Tibshirani 1993, chapter 13), without drawing. Infinite for fewer than 8 samples.
    """
    n = len(samples)
    if n < 8:
        return math.inf
    ordered = np.sort(samples)
    reach = 0.98 * math.sqrt(n)
    low, high = ordered[max(0, math.floor(n / 2 - reach))], ordered[min(n - 1, math.ceil(n / 2 + reach))]
    return float((high - low) / 2 / ordered[n // 2])


def _batch(call: Callable[[], object], count: int) -> list[int]:
    """Durations of `count` calls, in nanoseconds."""
    clock = time.perf_counter_ns
    durations = [0] * count
    for i in range(count):
        start = clock()
        call()
        durations[i] = clock() - start
    return durations


def _warm_up(call: Callable[[], object], pace: Pace) -> tuple[list[int], bool]:
    """Windows of about 20 ms and at least 3 calls, until three in a row agree."""
    end = time.perf_counter() + pace.warmup_seconds
    durations = _batch(call, 1)
    medians = [float(durations[0])]
    while time.perf_counter() < end:
        window = _batch(call, max(3, min(1000, int(20e6 / max(1.0, medians[-1])))))
        durations += window
        medians.append(float(np.median(window)))
        last = medians[-3:]
        if len(medians) > 3 and max(last) <= min(last) * (1 + pace.stability):
            return durations, True
    return durations, False


def _sample(call: Callable[[], object], pace: Pace, guess: int, watch: Watch) -> tuple[list[int], bool]:
    durations: list[int] = []
    watch.start()
    precise = _sample_into(durations, call, pace, guess, watch)
    watch.tick(len(durations), last=True)
    return durations, precise


def _sample_into(durations: list[int], call: Callable[[], object], pace: Pace, guess: int, watch: Watch) -> bool:
    """Extend `durations` until the pace is met; whether the median is known well enough."""
    start = time.perf_counter()
    while True:
        room = pace.max_samples - len(durations)
        durations += _batch(call, min(room, max(1, min(1000, int(50e6 / max(1, guess))))))
        elapsed = time.perf_counter() - start
        guess = durations[-1]
        watch.tick(len(durations))
        if len(durations) >= pace.max_samples or (len(durations) >= pace.min_samples and elapsed >= pace.min_seconds):
            if median_half_width(durations) <= pace.precision:
                return True
            if len(durations) >= pace.max_samples:
                return False
        if elapsed >= pace.max_seconds and len(durations) >= 3:
            return False
