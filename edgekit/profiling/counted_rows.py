"""A counted or estimated profile as rows of text. Nothing here is called a time that was not at least estimated, and so named."""

from __future__ import annotations

from edgekit.profiling.counted import CountedProfile
from edgekit.profiling.presenting import Rows, doubt_rows, op_row
from edgekit.profiling.profiles import OpRow
from edgekit.units import duration, size


def counted_rows(profile: CountedProfile) -> Rows:
    """Figures, label and text, in the order of interest."""
    runner, memory = profile.runner, profile.memory
    table = [
        ("model", f"{profile.model['name']} ({size(profile.model['bytes'])})"),
        ("looked at by" if profile.counts is None else "emulated", f"{profile.machine.cpu}, {runner.version}"),
        *_counts(profile),
        *_estimate(profile),
    ]
    if memory.arena_bytes is not None:
        table.append(("arena", f"{memory.arena_bytes:,} bytes"))
    if memory.planned_arena_bytes is not None:
        table.append(("activations planned", f"{memory.planned_arena_bytes:,} bytes"))
    if not profile.ops.rows:
        table.append(("operators", f"no figures: {profile.ops.reason}"))
    if profile.counts is None:
        table.append(("measured", "nothing: this is an estimate"))
    else:
        table.append(("trusted", "yes" if profile.valid else "NO"))
    return table + doubt_rows(profile.validity)


def _counts(profile: CountedProfile) -> Rows:
    counts = profile.counts
    if counts is None:
        return []
    classes = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in counts.run.classes.items())
    same = f"the same in {len(counts.invokes)} runs" if counts.deterministic else f"the median of {len(counts.invokes)} runs that differ"
    return [("instructions a run", f"{counts.run.total:,}, {same} (a count, no time)"), *([("of these", classes)] if classes else [])]


def _estimate(profile: CountedProfile) -> Rows:
    estimate = profile.estimate
    if estimate is None:
        return []
    cycles = f", {estimate.cycles:,} cycles" if estimate.cycles is not None else ""
    span = "" if estimate.low_ms is None else f" ({duration(estimate.low_ms)} to {duration(estimate.high_ms)})"
    figure = f"estimate: {duration(estimate.milliseconds)}{span}{cycles} at {estimate.clock_mhz:g} MHz, {estimate.device}"
    return [("estimated time", figure), ("estimate rests on", estimate.basis)]


def counted_op_rows(profile: CountedProfile, most: int | None = None) -> list[tuple[str, str, str, str, str, str]]:
    """Operators, the costliest first: index, name, the user's module, where it runs, instructions or cycles, share."""
    ranked = sorted(profile.ops.rows, key=lambda row: -(row.share or 0.0))[:most]
    return [op_row(row, row.placed or "cpu", _figure(row)) for row in ranked]


def _figure(row: OpRow) -> str:
    value = row.instructions if row.instructions is not None else row.cycles
    return "" if value is None else f"{value:,}"
