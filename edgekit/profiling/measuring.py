"""`profile`: several fresh processes of one model, and what they say together."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from edgekit import __version__
from edgekit.errors import UsageError
from edgekit.plugins import RunRequest
from edgekit.profiling import profiles
from edgekit.profiling.energy import energy
from edgekit.profiling.profiles import OpRow, Ops, Profile, Runner
from edgekit.profiling.state import DeviceState, device_state, machine
from edgekit.profiling.statistics import PERCENTILE_FLOORS
from edgekit.profiling.subject import Subject, engine, feed, subject
from edgekit.profiling.sustaining import Sustained, endless
from edgekit.profiling.sustaining import sustained as read_curve
from edgekit.profiling.validity import NOTHING_MORE, Demands, Finding, judge
from edgekit.progress import report
from edgekit.timing import Launch, OpTrace, Pace, TimedRuntime

FULL = Pace(min_seconds=0.5, max_seconds=2.0, warmup_seconds=0.8)
QUICK = Pace(min_seconds=0.1, max_seconds=0.25, warmup_seconds=0.15, precision=0.02)
DEVICES = ("host",)


@dataclass(frozen=True)
class Plan:
    """Everything needed to make one launch of one model.

    Attributes:
        model: What is measured.
        runtime: What runs it.
        request: The file and how to run it.
        inputs: One sample, without its batch dimension.
        origin: Where the sample came from.
        pace: Rules of a launch.
        on: The device.
    """

    model: Subject
    runtime: TimedRuntime
    request: RunRequest
    inputs: dict[str, np.ndarray]
    origin: str
    pace: Pace
    on: str

    def launch(self) -> Launch:
        """Make one."""
        return self.runtime.measure(self.request, self.pace, self.inputs)

    def trace(self, seconds: float) -> OpTrace:
        """Take per-operator times."""
        return self.runtime.trace(self.request, self.inputs, seconds)


def profile(
    model: Any,
    *,
    runtime: str | TimedRuntime | None = None,
    threads: int = 1,
    delegate: str = "xnnpack",
    launches: int | None = None,
    min_time: float | None = None,
    quick: bool = False,
    sustained: float | None = None,
    percentile: int | None = None,
    no_fallback: bool = False,
    on: str = "host",
) -> Profile:
    """Measure a model: latency with its interval, load, memory, and what each operator takes.

    Every launch is a fresh process that warms up until its times are stable and samples until the median is known to
    half a per cent or two seconds have passed. Interrupted by Ctrl-C, it returns what was measured, marked partial.

    Args:
        model: An `Artifact`, its folder, or a model file.
        runtime: Its name; by default the first that runs the format.
        threads: CPU threads.
        delegate: ``xnnpack``, ``none`` or ``reference``.
        launches: How many processes; by default 5, or 3 if `quick`.
        min_time: Seconds of sampling a launch takes at least.
        quick: Shorter launches and fewer: a first look, with a wider interval.
        sustained: Seconds of back-to-back runs in a launch of its own at the end: its curve shows when throttling began.
        percentile: One that must be told (90, 95 or 99): with fewer samples than its floor the profile is invalid.
        no_fallback: Whether an operator outside the delegate makes the profile invalid.
        on: The device: ``host``.

    Returns:
        The profile. Whether it can be trusted is in its `validity`; `Profile.require` raises if not.

    Raises:
        UsageError: An unknown device, runtime or file, or a nonsensical number.
        LoadError: The model file cannot be read.
        ConversionError: The runtime reads it and cannot run it.
        WorkerCrashed: It crashed.
    """
    count = launches if launches is not None else 3 if quick else 5
    plan = planned(model, runtime=runtime, threads=threads, delegate=delegate, pace=paced(quick, min_time), on=on)
    if count < 1:
        raise UsageError(f"cannot measure {count} launches", accepted="1 or more")
    if sustained is not None and not 1 <= sustained <= 86_400:
        raise UsageError(f"cannot run for {sustained} s back to back", accepted="1 to 86400")
    if percentile is not None and percentile not in PERCENTILE_FLOORS:
        raise UsageError(f"no floor is known for percentile {percentile}", accepted=[str(p) for p in PERCENTILE_FLOORS])
    started, before = datetime.now(UTC), device_state()
    done, trace = _launched(plan, count, 0.1 if quick else 0.5)
    after = device_state()
    curve = _sustain(plan, sustained) if sustained and len(done) == count else None
    demands = Demands(percentile, no_fallback)
    found = summarize(plan, done, count, trace, before=before, after=after, started=started, demands=demands)
    return found if curve is None else replace(found, sustained=curve, validity=found.validity.also(_throttling(curve)))


def paced(quick: bool, min_time: float | None) -> Pace:
    """The rules of a launch.

    Raises:
        UsageError: The time is negative or endless.
    """
    base = QUICK if quick else FULL
    if min_time is None:
        return base
    if not 0 <= min_time <= 3600:
        raise UsageError(f"cannot sample for {min_time} s", accepted="0 to 3600")
    return Pace(**{**base.to_json(), "min_seconds": min_time, "max_seconds": max(base.max_seconds, 4 * min_time)})


def planned(model: Any, *, runtime: str | TimedRuntime | None, threads: int, delegate: str, pace: Pace, on: str) -> Plan:
    """Find the file, its runtime and an input.

    Raises:
        UsageError: See `profile`.
    """
    if on not in DEVICES:
        raise UsageError(f"no device is called {on!r}", accepted=DEVICES)
    found = subject(model)
    chosen = engine(runtime, found)
    slowest = pace.warmup_seconds + pace.max_seconds
    request = RunRequest(found.file, threads, delegate, {"timeout": 120 + 10 * slowest})
    inputs, origin = feed(found, chosen, request)
    return Plan(found, chosen, request, inputs, origin, pace, on)


def _launched(plan: Plan, count: int, trace_seconds: float) -> tuple[list[Launch], OpTrace]:
    """Launches made until done or interrupted, then the instrumented one.

    Raises:
        KeyboardInterrupt: Before the first was done.
    """
    done: list[Launch] = []
    trace = OpTrace(reason="interrupted")
    title = f"profiling {plan.model.name}"
    try:
        for i in range(count):
            report(title, i, count + 1)
            done.append(plan.launch())
        report(title, count, count + 1)
        trace = plan.trace(trace_seconds)
    except KeyboardInterrupt:
        if not done:
            raise
    report(title, count + 1, count + 1)
    return done, trace


def _sustain(plan: Plan, seconds: float) -> Sustained | None:
    """A long launch of its own; None if it was interrupted."""
    report(f"running {plan.model.name} for {seconds:.0f} s", 0, 1)
    slow = replace(plan.request, options={**plan.request.options, "timeout": 120 + 3 * seconds})
    try:
        launch = plan.runtime.measure(slow, endless(seconds), plan.inputs)
    except KeyboardInterrupt:
        return None
    report(f"running {plan.model.name} for {seconds:.0f} s", 1, 1)
    return read_curve(launch.timings, seconds)


def _throttling(curve: Sustained) -> Iterator[Finding]:
    if curve.throttled_at_s is not None:
        at = f"after {curve.throttled_at_s:.0f} s of back-to-back runs"
        yield Finding("throttles", f"{at} times rose, to {curve.change:+.0%} in the steady state: what is told above is the peak")


def summarize(
    plan: Plan,
    done: Sequence[Launch],
    asked: int,
    trace: OpTrace,
    *,
    before: DeviceState,
    after: DeviceState,
    started: datetime,
    demands: Demands = NOTHING_MORE,
) -> Profile:
    """Put launches and states together."""
    latency, here = profiles.latency(done), machine()
    request = plan.request
    return Profile(
        model=plan.model.to_json(),
        runner=Runner(plan.runtime.name, plan.runtime.version(), plan.on, request.threads, request.delegate, plan.origin),
        pace=plan.pace,
        launches_asked=asked,
        launches=tuple(done),
        latency=latency,
        startup=profiles.startup(done),
        memory=profiles.memory(done, plan.model.bytes, trace.planned_arena_bytes),
        ops=_table(plan.model, trace),
        machine=here,
        before=before.to_json(),
        after=after.to_json(),
        validity=judge(
            done,
            asked,
            latency.interval,
            before=before,
            after=after,
            threads=request.threads,
            cores=here.threads,
            ops=trace.ops,
            demands=demands,
        ),
        energy=energy(done),
        started=started.isoformat(timespec="seconds"),
        tools=_tools(),
    )


def _table(model: Subject, trace: OpTrace) -> Ops:
    total = sum(op.mean_us or 0.0 for op in trace.ops)
    rows = []
    for op in trace.ops:
        share = None if op.mean_us is None or not total else op.mean_us / total
        rows.append(OpRow(op.index, op.name, model.module(op.index, op.name), op.kernel, op.delegated, op.mean_us, share))
    return Ops(tuple(rows), trace.runs, trace.source, trace.reason)


def _tools() -> dict[str, str]:
    found = {"edgekit": __version__, "python": platform.python_version()}
    for package in ("numpy", "scipy", "psutil"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
