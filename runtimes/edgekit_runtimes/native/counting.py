"""What the marks of a counted run say: instructions of each run, and of each operator.

While operators are counted, the runner's clock advances at its readings only, a millisecond each, and every reading is a mark. LiteRT's
profiler and XNNPACK's read the clock before and after each operator. So an event that lasted from 20 ms to 21 ms ran between marks 20
and 21, whoever reported it. XNNPACK reports durations without a start: its readings are those nobody else claims, one before its
first kernel and one after each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.counting import CountedRun, InstructionCount, OpCount
from edgekit.errors import DeviceFailed
from edgekit_runtimes._litert_capi import DELEGATE_OPERATOR, OPERATOR, ProfilerMissing
from edgekit_runtimes.native.launching import operators
from edgekit_runtimes.native.marks import Kind, Mark
from edgekit_runtimes.native.process import Answer

TIMED = {1 << 0, OPERATOR, 1 << 4}
"""Types of events whose start is told: spans of the runtime, operators, runs of a graph (litert/c/litert_profiler_event.h)."""
TICK_US = 1000


@dataclass(frozen=True)
class Event:
    """An event of LiteRT's profile, as the runner prints it."""

    type: int
    index: int
    start_us: int
    elapsed_us: int
    name: str


def counted(runs: Answer, operators_run: Callable[[], Answer], described: Mapping[str, Any], source: str) -> CountedRun:
    """Put the runs and the operators together.

    Args:
        runs: Of mode ``count``.
        operators_run: Makes the instrumented run, of mode ``count_ops``.
        described: As the engine's `inspect` says.
        source: Who counted, on which processor.

    Raises:
        DeviceFailed: Marks are missing, or several threads ran.
    """
    outputs = {name: values[0] for name, values in runs.arrays.items()}
    try:
        ops, reason = _operators(operators_run(), described), None
    except ProfilerMissing as missing:
        ops, reason = (), missing.message
    return CountedRun(invokes(runs.marks), source, ops, reason, outputs=outputs)


def invokes(marks: Sequence[Mark]) -> tuple[InstructionCount, ...]:
    """What was executed between each beginning and its end."""
    kinds = [mark.kind for mark in marks]
    if not kinds or kinds != [Kind.BEGIN, Kind.END] * (len(kinds) // 2):
        raise DeviceFailed("the emulator's counter missed a mark of the runner", next_step="run again")
    if any(mark.processors != 1 for mark in marks):
        raise DeviceFailed(f"the model ran on {marks[-1].processors} threads, whose instructions cannot be counted exactly")
    return tuple(begin.to(end) for begin, end in zip(marks[::2], marks[1::2], strict=True))


def _operators(answer: Answer, described: Mapping[str, Any]) -> tuple[OpCount, ...]:
    ticks = [mark for mark in answer.marks if mark.kind is Kind.TICK]
    if len(ticks) != answer.values.get("ticks"):
        raise ProfilerMissing("the emulator's counter missed readings of the runner's clock")
    try:
        events = [Event(*row) for row in answer.values["events"]]
    except (KeyError, TypeError) as error:
        raise DeviceFailed(f"the native runner answered garbage: {error}", next_step="run again") from None
    spans = intervals(events, len(ticks))
    counts = {id(event): ticks[start].to(ticks[end]) for event, (start, end) in spans}
    named = [(event, counts[id(event)]) for event, _ in spans]
    totals = operators(described, [(e.name, e.type, e.index, c.total) for e, c in named])
    return tuple(OpCount(op.index, op.name, round(op.mean_us or 0)) for op in totals if op.index is not None)


def intervals(events: Sequence[Event], ticks: int) -> list[tuple[Event, tuple[int, int]]]:
    """The ticks between which each operator and each of a delegate's kernels ran.

    Raises:
        ProfilerMissing: Events and ticks do not fit together.
    """
    spans = {k: _span(event) for k, event in enumerate(events) if event.type in TIMED}
    claimed = {tick for span in spans.values() for tick in span}
    free = iter(sorted(set(range(ticks)) - claimed))
    found: list[tuple[Event, tuple[int, int]]] = []
    last = None
    try:
        for k, event in enumerate(events):
            if event.type == OPERATOR:
                found.append((event, spans[k]))
            elif event.type in DELEGATE_OPERATOR:
                start = next(free) if event.index == 0 else last
                last = next(free)
                if start is None or last != start + 1:
                    raise ProfilerMissing("something else read the clock while a delegate ran")
                found.append((event, (start, last)))
    except StopIteration:
        raise ProfilerMissing("the delegate reports more kernels than it read the clock for") from None
    if next(free, None) is not None or any(end > ticks for span in spans.values() for end in span):
        raise ProfilerMissing("the clock was read by someone who reports nothing")
    return found


def _span(event: Event) -> tuple[int, int]:
    start = event.start_us // TICK_US - 1_000_000
    return start, start + event.elapsed_us // TICK_US
