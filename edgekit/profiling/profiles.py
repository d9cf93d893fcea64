"""A profile: raw samples, what they say, and whether they can be believed. Document ``edgekit.profile/1``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import documents, schemas
from edgekit.devices.machine import Machine
from edgekit.errors import UsageError
from edgekit.profiling.energy import Energy
from edgekit.profiling.statistics import PERCENTILE_FLOORS, Interval, median_of_medians, percentile, variation
from edgekit.profiling.sustaining import Sustained
from edgekit.profiling.validity import Validity
from edgekit.timing import Launch, Pace

SCHEMA = "edgekit.profile/1"


@dataclass(frozen=True)
class Runner:
    """What ran the model, and how.

    Attributes:
        runtime: Plug-in name.
        version: Of the engine.
        on: The device.
        threads: CPU threads.
        delegate: As in `RunRequest`.
        inputs: Where the input came from.
    """

    runtime: str
    version: str
    on: str
    threads: int
    delegate: str
    inputs: str


@dataclass(frozen=True)
class Latency:
    """What the samples say, in milliseconds.

    Attributes:
        median_ms: Median of launch medians.
        low_ms: Its 95 % interval from here,
        high_ms: to here.
        min_ms: The fastest run.
        mean_ms: Over all runs.
        p90_ms: Percentiles over all runs, None below their sample floors.
        p95_ms: The same.
        p99_ms: The same.
        samples: How many runs.
        variation: Coefficient of variation over all runs.
        launch_variation: Of launch medians.
        overhead_us: The timing loop's own part of every sample, in microseconds, not subtracted.
        missing: Why percentiles are missing.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    min_ms: float
    mean_ms: float
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    samples: int
    variation: float
    launch_variation: float
    overhead_us: float
    missing: tuple[str, ...] = ()

    @property
    def interval(self) -> Interval:
        """The median with its interval."""
        return Interval(self.median_ms, self.low_ms, self.high_ms)


@dataclass(frozen=True)
class Startup:
    """Medians over launches, in milliseconds; None is what the runtime does not tell.

    Attributes:
        cold_load_ms: From the file to ready to run, in a fresh process.
        warm_load_ms: Again in the same process.
        first_run_ms: The first run after the cold load.
        cache_dropped: Whether the file's pages were out of the system's cache for the cold load.
    """

    cold_load_ms: float | None
    warm_load_ms: float | None
    first_run_ms: float | None
    cache_dropped: bool


@dataclass(frozen=True)
class Memory:
    """In bytes; None is what could not be told.

    Attributes:
        model_bytes: The file.
        arena_bytes: What the engine itself planned for activations as it ran; a delegate's own workspace is not in it.
        planned_arena_bytes: The same without a delegate.
        peak_rss_bytes: Of the process, with interpreter and libraries.
        added_rss_bytes: How much of it came with loading and running the model.
    """

    model_bytes: int
    arena_bytes: int | None
    planned_arena_bytes: int | None
    peak_rss_bytes: int | None
    added_rss_bytes: int | None


@dataclass(frozen=True)
class OpRow:
    """One operator: see `edgekit.timing.OpTime`.

    Attributes:
        module: The user's module, where known.
        share: Of all operators' time, instructions or cycles, or None.
        instructions: Counted by an emulator, or None.
        cycles: Estimated by a model of the device, or None.
        placed: The processor a compiler placed it on, or None.
    """

    index: int | None
    name: str
    module: str | None
    kernel: str
    delegated: bool
    mean_us: float | None
    share: float | None
    instructions: int | None = None
    cycles: int | None = None
    placed: str | None = None


@dataclass(frozen=True)
class Ops:
    """The per-operator table, from an instrumented launch of its own.

    Attributes:
        rows: In execution order.
        runs: Runs averaged over.
        source: Who took the times.
        reason: Why there are none, or None.
        basis: ``measured``, ``counted`` or ``estimate``: what the rows' figures are.
    """

    rows: tuple[OpRow, ...] = ()
    runs: int = 0
    source: str = ""
    reason: str | None = None
    basis: str = "measured"

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ops:
        """Inverse of `to_json`."""
        return cls(**{**data, "rows": tuple(OpRow(**row) for row in data["rows"])})


@dataclass(frozen=True)
class Profile:
    """A measured model.

    Attributes:
        model: Name, format, bytes and sha256.
        runner: What ran it.
        pace: Rules of each launch.
        launches_asked: How many were to be made.
        launches: Raw, in order.
        latency: What they say.
        startup: Load and first run.
        memory: Of file, arena and process.
        ops: Per operator.
        machine: Where.
        before: Its state before.
        after: And after.
        validity: Doubts.
        started: ISO 8601, UTC.
        tools: Package to version.
        energy: Of a run.
        sustained: A long launch, if one was asked for.
    """

    model: Mapping[str, Any]
    runner: Runner
    pace: Pace
    launches_asked: int
    launches: tuple[Launch, ...]
    latency: Latency
    startup: Startup
    memory: Memory
    ops: Ops
    machine: Machine
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    validity: Validity
    started: str
    tools: Mapping[str, str]
    energy: Energy = field(default_factory=Energy)
    sustained: Sustained | None = None

    @property
    def basis(self) -> str:
        """``measured``."""
        return "measured"

    @property
    def partial(self) -> bool:
        """Whether it was interrupted."""
        return len(self.launches) < self.launches_asked

    @property
    def valid(self) -> bool:
        """Whether it can be trusted."""
        return self.validity.valid

    @property
    def ops_ms(self) -> float:
        """What the operators' own times add up to. Times rounded down leave it below the median."""
        return sum(row.mean_us or 0.0 for row in self.ops.rows) / 1e3

    def require(self) -> Profile:
        """Return itself if it can be trusted.

        Raises:
            InvalidMeasurement: It says why not.
        """
        self.validity.require(f"the measurement of {self.model['name']}", "measure again")
        return self

    def to_json(self) -> dict[str, Any]:
        """The document, valid under ``schemas/profile-1.json``."""
        return {
            "schema": SCHEMA,
            "basis": self.basis,
            "started": self.started,
            "partial": self.partial,
            "validity": self.validity.to_json(),
            "model": dict(self.model),
            "runner": asdict(self.runner),
            "latency": {**asdict(self.latency), "missing": list(self.latency.missing)},
            "startup": asdict(self.startup),
            "memory": asdict(self.memory),
            "ops": self.ops.to_json(),
            "machine": self.machine.to_json(),
            "before": dict(self.before),
            "after": dict(self.after),
            "pace": self.pace.to_json(),
            "launches_asked": self.launches_asked,
            "launches": [_launch_json(launch) for launch in self.launches],
            "tools": dict(self.tools),
            "energy": self.energy.to_json(),
            "sustained": self.sustained.to_json() if self.sustained else None,
        }

    @classmethod
    def from_json(cls, data: Any, origin: str = "the profile") -> Profile:
        """Inverse of `to_json`.

        Raises:
            UsageError: Not such a document.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise UsageError(f"{origin} is not a profile", accepted=f"a document of schema {SCHEMA}")
        if data.get("basis") != "measured":
            raise UsageError(f"{origin} holds no measured times: its basis is {data.get('basis')!r}", accepted="a measured profile")
        schemas.validate(data, "profile-1", origin)
        return cls(
            model=data["model"],
            runner=Runner(**data["runner"]),
            pace=Pace(**data["pace"]),
            launches_asked=data["launches_asked"],
            launches=tuple(_launch(values) for values in data["launches"]),
            latency=Latency(**{**data["latency"], "missing": tuple(data["latency"]["missing"])}),
            startup=Startup(**data["startup"]),
            memory=Memory(**data["memory"]),
            ops=Ops.from_json(data["ops"]),
            machine=Machine.from_json(data["machine"]),
            before=data["before"],
            after=data["after"],
            validity=Validity.from_json(data["validity"]),
            started=data["started"],
            tools=data["tools"],
            energy=Energy(**data["energy"]) if data.get("energy") else Energy(),
            sustained=Sustained.from_json(data["sustained"]) if data.get("sustained") else None,
        )

    def save(self, path: str | Path) -> Path:
        """Write the document, whole or not at all."""
        target = Path(path)
        documents.write_json(target, self.to_json())
        return target

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read a saved document.

        Raises:
            UsageError: It cannot be read, or is none.
        """
        return cls.from_json(documents.read_json(Path(path)), str(path))


def latency(launches: Sequence[Launch]) -> Latency:
    """What the samples of these launches say."""
    samples = [launch.timings.samples_ns / 1e6 for launch in launches]
    pooled = np.concatenate(samples)
    median = median_of_medians(samples)
    told = {p: percentile(pooled, p) for p in PERCENTILE_FLOORS}
    return Latency(
        median.value,
        median.low,
        median.high,
        float(pooled.min()),
        float(pooled.mean()),
        told[90],
        told[95],
        told[99],
        len(pooled),
        variation(pooled),
        variation(np.array([np.median(s) for s in samples])),
        float(np.median([launch.timings.overhead_ns for launch in launches])) / 1e3,
        tuple(f"p{p} needs {PERCENTILE_FLOORS[p]} samples, there are {len(pooled)}" for p, value in told.items() if value is None),
    )


def startup(launches: Sequence[Launch]) -> Startup:
    """Medians of load and first run, of the launches that tell."""
    return Startup(
        _median(launch.cold_load_ms for launch in launches),
        _median(launch.warm_load_ms for launch in launches),
        _median(launch.first_run_ms for launch in launches),
        all(launch.cache_dropped for launch in launches),
    )


def _median(values: Iterable[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return float(np.median(told)) if told else None


def memory(launches: Sequence[Launch], model_bytes: int, planned_arena_bytes: int | None) -> Memory:
    """Medians of what processes used."""
    peaks = [launch.peak_rss_bytes for launch in launches if launch.peak_rss_bytes is not None]
    added = [n.peak_rss_bytes - n.baseline_rss_bytes for n in launches if n.peak_rss_bytes is not None and n.baseline_rss_bytes is not None]
    return Memory(
        model_bytes,
        launches[0].arena_bytes,
        planned_arena_bytes,
        int(np.median(peaks)) if peaks else None,
        int(np.median(added)) if added else None,
    )


def _launch_json(launch: Launch) -> dict[str, Any]:
    values, arrays = launch.to_worker()
    raw = {k: v.tolist() for k, v in arrays.items()}
    raw["readings"] = [[None if math.isnan(x) else x for x in row] for row in raw["readings"]]
    return {**values, "timings": {**values["timings"], **raw}}


def _launch(values: Mapping[str, Any]) -> Launch:
    timings = values["timings"]
    arrays = {k: np.array(timings[k], np.int64) for k in ("warmup_ns", "samples_ns")}
    arrays["readings"] = np.array(timings.get("readings") or np.zeros((0, 4)), np.float64)
    rest = {k: v for k, v in timings.items() if k not in arrays}
    return Launch.from_worker({**values, "timings": rest}, arrays)
