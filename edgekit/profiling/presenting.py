"""Profiles and comparisons as rows of text, for whoever draws them."""

from __future__ import annotations

from edgekit.gains import Gains
from edgekit.profiling.comparing import Comparison
from edgekit.profiling.profiles import OpRow, Profile
from edgekit.profiling.validity import Validity
from edgekit.units import digits, duration, share, size
from edgekit.wording import plural

Rows = list[tuple[str, str]]


def rows(profile: Profile) -> Rows:
    """A profile's figures, label and text, in the order of interest."""
    latency, startup, memory = profile.latency, profile.startup, profile.memory
    runner = profile.runner
    table = [
        ("model", f"{profile.model['name']} ({size(profile.model['bytes'])})"),
        ("ran on", f"{_place(profile)}, {runner.version}, {runner.delegate}, {plural(runner.threads, 'thread')}"),
        ("latency (median)", f"{duration(latency.median_ms)}  [{duration(latency.low_ms)} to {duration(latency.high_ms)}]"),
        ("percentiles", ", ".join(f"p{p} {duration(v)}" for p, v in _percentiles(profile) if v is not None) or "too few samples"),
        ("fastest, mean", f"{duration(latency.min_ms)}, {duration(latency.mean_ms)}"),
        ("samples", f"{latency.samples} in {plural(len(profile.launches), 'launch', 'launches')}"),
        ("variation", f"{share(latency.variation)} between runs, {share(latency.launch_variation)} between launches"),
        ("load", _load(profile)),
        ("first run", duration(startup.first_run_ms)),
        ("arena", _arena(profile)),
        ("peak memory", f"{size(memory.peak_rss_bytes)} in all, {size(memory.added_rss_bytes)} for the model"),
        ("operators", f"add up to {duration(profile.ops_ms)}" if profile.ops.rows else f"no times: {profile.ops.reason}"),
        *_sustained(profile),
        *_energy(profile),
        ("timing overhead", f"{latency.overhead_us:.2f} µs in every sample, not subtracted"),
        ("trusted", "yes" if profile.valid else "NO"),
    ]
    return table + doubt_rows(profile.validity)


def doubt_rows(validity: Validity) -> Rows:
    """Why a measurement is not trusted, and what else to know of it."""
    return [("", f"because {f.text}") for f in validity.reasons] + [("note", f.text) for f in validity.warnings]


def op_rows(profile: Profile, most: int | None = None) -> list[tuple[str, str, str, str, str, str]]:
    """Operators, the slowest first: index, name, the user's module, who ran it, time, share."""
    ranked = sorted(profile.ops.rows, key=lambda row: -(row.mean_us or 0.0))[:most]
    return [op_row(row, profile.runner.delegate if row.delegated else "cpu", op_time(row)) for row in ranked]


def op_row(row: OpRow, where: str, figure: str) -> tuple[str, str, str, str, str, str]:
    """One operator: its index, its name, the user's module, where it ran, what it took, and its share of that."""
    index, part = "" if row.index is None else str(row.index), "" if row.share is None else f"{row.share:.1%}"
    return index, row.name, row.module or "", where, figure, part


def comparison_rows(comparison: Comparison) -> Rows:
    """A comparison's figures, label and text."""
    table = [
        ("verdict", comparison.sentence),
        *((f"{side} latency", _latency(p)) for side, p in (("A", comparison.a), ("B", comparison.b))),
        ("counts as none", f"up to {comparison.margin:.1%}"),
        ("trusted", "yes" if comparison.validity.valid else "NO"),
    ]
    return table + [("", f"because {f.text}") for f in comparison.validity.reasons]


def gain_rows(gains: Gains) -> Rows:
    """What pruning gained, label and text; the last row says so if nothing measured says that the model became faster."""
    before, after, timing = gains.before, gains.after, gains.timing
    table = [
        ("multiply-accumulates", _change(before.macs, after.macs)),
        ("parameters", _change(before.parameters, after.parameters)),
    ]
    if gains.after.zeros:
        table.append(("zeros", f"{gains.sparsity:.1%} of the parameters left: a smaller download, no faster without sparse kernels"))
    table += [
        (label, _change(old, new, " bytes"))
        for label, old, new in (("file", before.bytes, after.bytes), ("zipped (download)", before.zipped, after.zipped))
        if old is not None and new is not None
    ]
    if timing is not None:
        where = "this machine" if timing.on == "host" else timing.on
        speeds = f"{timing.speedup:.2f} times as fast, {1 / timing.high:.2f} to {1 / timing.low:.2f}"
        times = f"{duration(timing.before_ms)} → {duration(timing.after_ms)}  ({speeds}; {timing.rounds} rounds)"
        table.append(("latency here" if timing.on == "host" else "latency", f"{times} by {timing.runtime} on {where}"))
    return table + ([("no measured gain", _why_none(gains))] if gains.no_measured_gain else [])


def _change(old: int, new: int, unit: str = "") -> str:
    ratio = f"÷ {old / new:.2f}" if new and old >= new else f"× {new / old:.2f}" if old else ""
    return f"{old:,} → {new:,}{unit}" + (f"  ({ratio})" if old != new and ratio else "")


def _why_none(gains: Gains) -> str:
    timing = gains.timing
    if timing is None:
        return gains.reason or ""
    if timing.doubts:
        return f"the measurement cannot be trusted: {'; '.join(timing.doubts)}"
    return "the pruned model is slower" if timing.verdict == "slower" else "the pruned model is no faster, as far as can be told"


def op_time(row: OpRow) -> str:
    """An operator's time; whole microseconds are all its instruments tell."""
    return "none of its own" if row.mean_us is None else "< 1 µs" if row.mean_us < 1 else f"{digits(row.mean_us)} µs"


def _place(profile: Profile) -> str:
    """The device by its name, model and processor; this machine by its processor alone."""
    machine, on = profile.machine, profile.runner.on
    return ", ".join(filter(None, (on, machine.model, machine.cpu))) if on != "host" else machine.cpu


def _percentiles(profile: Profile) -> tuple[tuple[int, float | None], ...]:
    latency = profile.latency
    return (90, latency.p90_ms), (95, latency.p95_ms), (99, latency.p99_ms)


def _latency(profile: Profile) -> str:
    latency = profile.latency
    return f"{duration(latency.median_ms)}  [{duration(latency.low_ms)} to {duration(latency.high_ms)}]  {profile.model['name']}"


def _sustained(profile: Profile) -> Rows:
    curve = profile.sustained
    if curve is None:
        return []
    steady = f"{duration(curve.steady_ms)} steady, {duration(curve.peak_ms)} at best, over {curve.seconds:.0f} s"
    if curve.throttled_at_s is None:
        return [("sustained", f"{steady}; no throttling")]
    return [("sustained", f"{steady}; throttled after {curve.throttled_at_s:.0f} s ({curve.change:+.0%})")]


def _energy(profile: Profile) -> Rows:
    energy = profile.energy
    if energy.millijoules is None:
        return []
    return [("energy", f"{digits(energy.millijoules)} mJ a run ({energy.meter}: {energy.resolution})")]


def _load(profile: Profile) -> str:
    startup = profile.startup
    cold = f"{duration(startup.cold_load_ms)} cold" + ("" if startup.cache_dropped else " (file still in the system's cache)")
    return cold if startup.warm_load_ms is None else f"{cold}, {duration(startup.warm_load_ms)} warm"


def _arena(profile: Profile) -> str:
    memory = profile.memory
    if memory.arena_bytes == memory.planned_arena_bytes:
        return size(memory.arena_bytes)
    return f"{size(memory.arena_bytes)} beside the delegate's own, {size(memory.planned_arena_bytes)} without a delegate"
