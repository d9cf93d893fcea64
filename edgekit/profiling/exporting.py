"""A profile for other programs: CSV, JUnit, and the trace format of Perfetto and Chrome."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from edgekit import junit
from edgekit.errors import UsageError
from edgekit.profiling.counted import CountedProfile
from edgekit.profiling.gate import Regression
from edgekit.profiling.profiles import Profile
from edgekit.profiling.reading import AnyProfile

COLUMNS = ("record", "index", "name", "module", "quantity", "unit", "value")
Row = tuple[str, int | str, str, str, str, str, float | int]


def to_csv(profile: AnyProfile) -> str:
    """One value a row: figures, operators and every raw sample, told apart by the column ``record``.

    ======== ========================================= =======================
    record   index                                     name
    ======== ========================================= =======================
    figure                                             the figure
    op       of the operator in the model file         the operator
    count    of the run                                the class of instruction
    sample   of the launch                             the launch
    window   of the window of a sustained run          its middle, in seconds
    ======== ========================================= =======================
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_figures(profile))
    writer.writerows(_ops(profile))
    writer.writerows(_samples(profile) if isinstance(profile, Profile) else _counts(profile))
    return text.getvalue()


def _figures(profile: AnyProfile) -> Iterator[Row]:
    tables: list[dict[str, Any]] = [asdict(profile.memory)]
    if isinstance(profile, Profile):
        tables += [asdict(profile.latency), asdict(profile.startup), {"energy_mj": profile.energy.millijoules}]
    elif profile.estimate is not None:
        yield "figure", "", "estimate", "", "time", "ms", profile.estimate.milliseconds
    for table in tables:
        for name, value in table.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                quantity, unit = _unit(name)
                yield "figure", "", name, "", quantity, unit, value


def _unit(name: str) -> tuple[str, str]:
    endings = {"_ms": ("time", "ms"), "_us": ("time", "us"), "_bytes": ("memory", "B"), "_mj": ("energy", "mJ")}
    return next((unit for ending, unit in endings.items() if name.endswith(ending)), ("number", "1"))


def _ops(profile: AnyProfile) -> Iterator[Row]:
    for row in profile.ops.rows:
        values = (("time", "us", row.mean_us), ("instructions", "1", row.instructions), ("cycles", "1", row.cycles))
        for quantity, unit, value in values:
            if value is not None:
                yield "op", "" if row.index is None else row.index, row.name, row.module or "", quantity, unit, value


def _samples(profile: Profile) -> Iterator[Row]:
    for i, launch in enumerate(profile.launches):
        for sample in launch.timings.samples_ns:
            yield "sample", i, f"launch {i + 1}", "", "time", "ns", int(sample)
    for i, window in enumerate(profile.sustained.curve if profile.sustained else ()):
        yield "window", i, f"{window.at_s:.3f}", "", "time", "ms", window.median_ms


def _counts(profile: CountedProfile) -> Iterator[Row]:
    for i, count in enumerate(profile.counts.invokes if profile.counts else ()):
        for name, value in {"total": count.total, **count.classes}.items():
            yield "count", i, name, "", "instructions", "1", value


def to_trace(profile: AnyProfile) -> str:
    """The operators one after the other, for https://ui.perfetto.dev or chrome://tracing.

    The format is Chrome's "Trace Event Format": complete events (``X``) in microseconds, counters (``C``). An operator's
    length is its mean over all instrumented runs, so the timeline is an average run and no particular one.

    Raises:
        UsageError: There are no times to draw: instruction counts are not time.
    """
    if not isinstance(profile, Profile):
        raise UsageError("a trace is a timeline, and this profile has no times: it is counted", accepted="a measured profile")
    if not any(row.mean_us for row in profile.ops.rows) and profile.sustained is None:
        raise UsageError(f"there are no per-operator times to draw: {profile.ops.reason}")
    events = [*_names(profile), *_timeline(profile), *_counters(profile)]
    meta = {"model": profile.model["name"], "started": profile.started, "valid": profile.valid, "operators": profile.ops.source}
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns", "otherData": meta}, ensure_ascii=False) + "\n"


def _names(profile: Profile) -> Iterator[dict[str, Any]]:
    title = f"{profile.model['name']} on {profile.machine.cpu}"
    yield {"ph": "M", "pid": 1, "tid": 1, "name": "process_name", "args": {"name": title}}
    yield {"ph": "M", "pid": 1, "tid": 1, "name": "thread_name", "args": {"name": f"operators, mean of {profile.ops.runs} runs"}}
    if profile.sustained:
        yield {"ph": "M", "pid": 2, "tid": 1, "name": "process_name", "args": {"name": f"{profile.sustained.seconds:.0f} s back to back"}}


def _timeline(profile: Profile) -> Iterator[dict[str, Any]]:
    at = 0.0
    for row in profile.ops.rows:
        length = row.mean_us or 0.0
        where = profile.runner.delegate if row.delegated else "cpu"
        told = {"index": row.index, "module": row.module, "kernel": row.kernel, "share": row.share}
        args = {key: value for key, value in told.items() if value not in (None, "")}
        yield {"ph": "X", "pid": 1, "tid": 1, "ts": at, "dur": length, "name": row.name, "cat": where, "args": args}
        at += length


def _counters(profile: Profile) -> Iterator[dict[str, Any]]:
    for window in profile.sustained.curve if profile.sustained else ():
        tracks = {"latency (ms)": window.median_ms, "clock (MHz)": window.clock_mhz, "temperature (°C)": window.temperature_c}
        for name, value in tracks.items():
            if value is not None:
                yield {"ph": "C", "pid": 2, "tid": 1, "ts": window.at_s * 1e6, "name": name, "args": {name: value}}


def to_junit(profile: AnyProfile, held: Regression | None = None) -> str:
    """A test suite with the figures as properties: a case that fails if the profile cannot be trusted, one for the baseline."""
    name = str(profile.model["name"])
    trusted = junit.Case(name, seconds=profile.latency.median_ms / 1e3 if isinstance(profile, Profile) else None)
    if not profile.valid:
        reasons = "\n".join(f"{f.code}: {f.text}" for f in profile.validity.reasons)
        trusted = replace(trusted, failure="the measurement cannot be trusted", kind="InvalidMeasurement", text=reasons)
    cases = [trusted]
    if held is not None:
        cases.append(junit.Case(f"{name} against its baseline", None if held.passed else str(held), "GateFailed"))
    return junit.document(junit.Suite("edgekit.profile", cases, _properties(profile), profile.started, profile.runner.on))


def _properties(profile: AnyProfile) -> dict[str, float | int | str]:
    figures: dict[str, float | int | str] = {"basis": profile.basis}
    if isinstance(profile, Profile):
        latency = profile.latency
        figures |= {"median_ms": latency.median_ms, "low_ms": latency.low_ms, "high_ms": latency.high_ms}
        figures |= {"model_bytes": profile.memory.model_bytes, "samples": latency.samples}
        return figures
    figures["model_bytes"] = profile.memory.model_bytes
    if profile.counts is not None:
        figures["instructions"] = profile.counts.run.total
    if profile.estimate is not None:
        figures["estimated_ms"] = profile.estimate.milliseconds
    return figures
