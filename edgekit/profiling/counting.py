"""Profiling on an emulator: instructions of a run, counted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np

from edgekit.counting import CountedRun, CountedRuntime
from edgekit.devices import Machine
from edgekit.plugins import RunRequest, kernels_of
from edgekit.profiling.counted import CountedProfile, Counts, judge_counts
from edgekit.profiling.profiles import Memory, OpRow, Ops, Runner
from edgekit.profiling.subject import Subject

INVOKES = 3
"""Runs that are counted: enough to see whether they are equal."""


def count_instructions(
    model: Subject,
    runtime: Any,
    request: RunRequest,
    inputs: Mapping[str, np.ndarray],
    *,
    origin: str,
    on: str,
    machine: Machine,
    tools: Mapping[str, str],
) -> CountedProfile:
    """Run a model in an emulator that counts; what it took, by class and by operator.

    Raises:
        DeviceFailed: It crashed there, hung, or answered garbage.
    """
    started = datetime.now(UTC)
    counter = cast(CountedRuntime, runtime)
    counted = counter.count(request, inputs, INVOKES)
    counts = Counts.of(counted)
    return CountedProfile(
        model=model.to_json(),
        runner=Runner(runtime.name, counter.version(), on, request.threads, kernels_of(runtime, request.delegate), origin),
        counts=counts,
        estimate=None,
        memory=Memory(model.bytes, counted.arena_bytes, None, None, None),
        ops=_table(model, counted),
        machine=machine,
        validity=judge_counts(counts),
        started=started.isoformat(timespec="seconds"),
        tools=tools,
    )


def _table(model: Subject, counted: CountedRun) -> Ops:
    total = sum(op.instructions for op in counted.ops)
    rows = (
        OpRow(op.index, op.name, model.module(op.index, op.name), "", False, None, op.instructions / total, instructions=op.instructions)
        for op in counted.ops
    )
    return Ops(tuple(rows), len(counted.invokes), counted.source, counted.ops_reason, "counted")
