"""`profile`: several fresh processes of one model, and what they say together."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import __version__, plugins
from edgekit.devices import Address, Device, Machine, opened
from edgekit.devices.host import device_state, machine
from edgekit.devices.machine import DeviceState
from edgekit.devices.opening import schemes
from edgekit.errors import DeviceFailed, DeviceUnavailable, UsageError
from edgekit.plugins import RunRequest
from edgekit.profiling import profiles
from edgekit.profiling.counted import CountedProfile
from edgekit.profiling.counting import count_instructions
from edgekit.profiling.energy import energy
from edgekit.profiling.estimating import estimate_by_compiler, load_device_file, with_estimate
from edgekit.profiling.profiles import OpRow, Ops, Profile, Runner
from edgekit.profiling.statistics import PERCENTILE_FLOORS
from edgekit.profiling.stopping import Stop
from edgekit.profiling.subject import Subject, engine, feed, subject
from edgekit.profiling.sustaining import Sustained, endless
from edgekit.profiling.sustaining import sustained as read_curve
from edgekit.profiling.validity import NOTHING_MORE, Demands, Finding, judge
from edgekit.progress import report
from edgekit.timing import Launch, OpTrace, Pace, TimedRuntime

FULL = Pace(min_seconds=0.5, max_seconds=2.0, warmup_seconds=0.8)
QUICK = Pace(min_seconds=0.1, max_seconds=0.25, warmup_seconds=0.15, precision=0.02)
OnLaunch = Callable[[Profile], None]
CLOCK_SLACK = 1.05
"""Share of our own time that a device's clock may run ahead of it before it must have jumped."""


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
        on: The device's name.
        device: The device, or None for this machine.
        stop: Set by another thread, like Ctrl-C.
    """

    model: Subject
    runtime: TimedRuntime
    request: RunRequest
    inputs: dict[str, np.ndarray]
    origin: str
    pace: Pace
    on: str
    device: Device | None = None
    stop: Stop = field(default_factory=Stop)

    def machine(self) -> Machine:
        """Where it runs."""
        return self.device.machine() if self.device else machine()

    def state(self) -> DeviceState:
        """Its state now."""
        return self.device.state() if self.device else device_state()

    def launch(self) -> Launch:
        """Make one.

        Raises:
            DeviceFailed: The device says it took longer than we waited: its clock jumped.
        """
        start = time.perf_counter()
        made = self.runtime.measure(self.request, self.pace, self.inputs)
        waited, told = time.perf_counter() - start, int(made.timings.samples_ns.sum()) / 1e9
        if self.device and told > waited * CLOCK_SLACK:
            raise DeviceFailed(f"{self.on} says that runs took {told:.1f} s, but its answer came after {waited:.1f} s: its clock jumped")
        return made

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
    estimate: str | Path | None = None,
    on: str | Device = "host",
    stop: Stop | None = None,
    on_launch: OnLaunch | None = None,
) -> Profile | CountedProfile:
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
        estimate: A device file, by name or path, that converts counted instructions to a time, called an estimate everywhere.
        on: The device: ``host``, a name as `edgekit.devices.address` lists them, or a device that `edgekit.devices.opened` gave. On an
            emulator instructions are counted.
        stop: To be set by another thread, like Ctrl-C.
        on_launch: Given the profile so far, marked partial, after every launch but the last: what survives if this process does not.

    Returns:
        The profile. Whether it can be trusted is in its `validity`; `Profile.require` raises if not. A device lost after the
        first launch leaves what was measured until then, marked.

    Raises:
        UsageError: An unknown device, runtime or file, or a nonsensical number.
        DeviceUnavailable: The device cannot be reached, or failed before the first launch was done.
        LoadError: The model file cannot be read.
        ConversionError: The runtime reads it and cannot run it.
        WorkerCrashed: It crashed.
    """
    count = launches if launches is not None else 3 if quick else 5
    if count < 1:
        raise UsageError(f"cannot measure {count} launches", accepted="1 or more")
    if sustained is not None and not 1 <= sustained <= 86_400:
        raise UsageError(f"cannot run for {sustained} s back to back", accepted="1 to 86400")
    if percentile is not None and percentile not in PERCENTILE_FLOORS:
        raise UsageError(f"no floor is known for percentile {percentile}", accepted=[str(p) for p in PERCENTILE_FLOORS])
    pace, demands = paced(quick, min_time), Demands(percentile, no_fallback)
    known = load_device_file(estimate) if estimate is not None else None
    chosen: Any = plugins.load("runtimes", runtime) if isinstance(runtime, str) else runtime
    if hasattr(chosen, "estimate"):
        return estimate_by_compiler(subject(model), chosen, tools())
    with reached(on, runtime) as device:
        stop = stop or Stop()
        if device is not None:
            stop.watch(device)
        name = on if isinstance(on, str) else str(on.address)
        plan = planned(model, runtime=runtime, threads=threads, delegate=delegate, pace=pace, on=name, device=device)
        plan = replace(plan, stop=stop)
        if not hasattr(plan.runtime, "measure"):
            counted = count_instructions(
                plan.model, plan.runtime, plan.request, plan.inputs, origin=plan.origin, on=plan.on, machine=plan.machine(), tools=tools()
            )
            return counted if known is None else with_estimate(counted, known)
        if known is not None:
            raise UsageError(
                f"{name} is measured, so there is nothing to estimate", accepted="--on qemu:CPU, where instructions are counted"
            )
        return _profiled(plan, count, 0.1 if quick else 0.5, seconds=sustained, demands=demands, on_launch=on_launch)


def _profiled(
    plan: Plan, count: int, trace_seconds: float, *, seconds: float | None, demands: Demands, on_launch: OnLaunch | None
) -> Profile:
    started, before = datetime.now(UTC), plan.state()

    def tell(done: Sequence[Launch]) -> None:
        if on_launch is not None and len(done) < count:
            none = OpTrace(reason="not traced yet")
            on_launch(summarize(plan, done, count, none, before=before, after=before, started=started, demands=demands))

    taken = _launched(plan, count, trace_seconds, tell)
    after, curve, doubts = before, None, taken.doubts
    if not doubts and not plan.stop.is_set:
        try:
            after = plan.state()
            curve = _sustain(plan, seconds) if seconds and len(taken.launches) == count else None
        except DeviceUnavailable as error:
            doubts = _lost(plan, error)
    found = summarize(plan, taken.launches, count, taken.trace, before=before, after=after, started=started, demands=demands)
    validity = found.validity.also(_throttling(curve) if curve else ()).because(doubts)
    return replace(found, sustained=curve, validity=validity)


def _lost(plan: Plan, error: DeviceUnavailable) -> tuple[Finding, ...]:
    """What a device that fails after the first launch makes of the profile; nothing if it is us who let it go."""
    return () if plan.stop.is_set else (Finding("failed" if isinstance(error, DeviceFailed) else "lost", error.message),)


@contextmanager
def reached(on: str | Device, runtime: str | TimedRuntime | None = None) -> Iterator[Device | None]:
    """Yield the device, opened for the block if it is a name; None for this machine, where the runtime makes processes by itself."""
    if not isinstance(on, str):
        yield on
        return
    itself = isinstance(runtime, str) and not hasattr(plugins.load("runtimes", runtime), "measure")
    if Address.parse(on, schemes()).scheme == "host" and not itself:
        yield None
        return
    with opened(on) as device:
        yield device


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


def planned(
    model: Any, *, runtime: str | TimedRuntime | None, threads: int, delegate: str, pace: Pace, on: str, device: Device | None = None
) -> Plan:
    """Find the file, its runtime and an input.

    Raises:
        UsageError: See `profile`.
    """
    found = subject(model)
    chosen = engine(runtime, found, device)
    slowest = pace.warmup_seconds + pace.max_seconds
    build = found.artifact.manifest.build if found.artifact else ()
    request = RunRequest(found.file, threads, delegate, {"timeout": 120 + 10 * slowest, "build": build})
    inputs, origin = feed(found, chosen, request)
    return Plan(found, chosen, request, inputs, origin, pace, on, device)


@dataclass(frozen=True)
class Taken:
    """Launches, and how making them ended.

    Attributes:
        launches: That were finished.
        trace: The instrumented one's.
        doubts: That the device went away or failed, if it did.
    """

    launches: tuple[Launch, ...]
    trace: OpTrace
    doubts: tuple[Finding, ...] = ()


def _launched(plan: Plan, count: int, trace_seconds: float, tell: Callable[[Sequence[Launch]], None]) -> Taken:
    """Launches made until done, interrupted or lost, then the instrumented one.

    Raises:
        KeyboardInterrupt: Before the first was done.
        DeviceUnavailable: The same.
    """
    done: list[Launch] = []
    doubts: tuple[Finding, ...] = ()
    trace = OpTrace(reason="interrupted")
    title = f"profiling {plan.model.name}"
    try:
        for i in range(count):
            report(title, i, count + 1)
            done.append(plan.launch())
            tell(done)
            if plan.stop.is_set and i < count - 1:
                raise KeyboardInterrupt
        report(title, count, count + 1)
        trace = plan.trace(trace_seconds)
    except KeyboardInterrupt:
        if not done:
            raise
    except DeviceUnavailable as error:
        if not done:
            raise
        doubts = _lost(plan, error)
        trace = OpTrace(reason="the device was lost" if doubts else "interrupted")
    report(title, count + 1, count + 1)
    return Taken(tuple(done), trace, doubts)


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
    latency, here = profiles.latency(done), plan.machine()
    request, kernels = plan.request, plugins.kernels_of(plan.runtime, plan.request.delegate)
    return Profile(
        model=plan.model.to_json(),
        runner=Runner(plan.runtime.name, plan.runtime.version(), plan.on, request.threads, kernels, plan.origin),
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
        tools=tools(),
    )


def _table(model: Subject, trace: OpTrace) -> Ops:
    total = sum(op.mean_us or 0.0 for op in trace.ops)
    rows = []
    for op in trace.ops:
        share = None if op.mean_us is None or not total else op.mean_us / total
        rows.append(OpRow(op.index, op.name, model.module(op.index, op.name), op.kernel, op.delegated, op.mean_us, share))
    return Ops(tuple(rows), trace.runs, trace.source, trace.reason)


def tools() -> dict[str, str]:
    """Versions of what computed the figures."""
    found = {"edgekit": __version__, "python": platform.python_version()}
    for package in ("numpy", "scipy", "psutil"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
