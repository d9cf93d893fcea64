"""A page about one profile: what was measured or counted, by operator, and the state of the device."""

from __future__ import annotations

from pathlib import Path

from edgekit import staging
from edgekit.profiling import CountedProfile, Profile
from edgekit.profiling.counted_rows import counted_op_rows, counted_rows
from edgekit.profiling.reading import AnyProfile
from edgekit.report import charts, sections
from edgekit.report.html import template
from edgekit.report.page import Badge, Card, Chart, Column, Page, Remark, Section, Table
from edgekit.units import duration, size

_STATE = {
    "clock_mhz": ("clock", "MHz"),
    "max_clock_mhz": ("highest clock", "MHz"),
    "governor": ("clock governor", ""),
    "temperature_c": ("temperature", "°C"),
    "load": ("runnable processes, mean of a minute", ""),
    "memory_available_bytes": ("memory available", "bytes"),
    "on_battery": ("on battery", ""),
    "battery_percent": ("battery", "%"),
}


def write_profile_page(path: str | Path, profile: AnyProfile) -> Path:
    """Write the page; the parent folder is made if need be.

    Raises:
        UsageError: It cannot be written.
    """
    page = Path(path)
    staging.write_file(page, render_profile(profile).encode())
    return page


def render_profile(profile: AnyProfile) -> str:
    """The page as HTML: no script, no network, everything escaped, the same bytes for the same input."""
    made = _measured(profile) if isinstance(profile, Profile) else _counted(profile)
    return template().render(page=made)


def _measured(profile: Profile) -> Page:
    latency = profile.latency
    parts = (
        sections.measurement(profile),
        _sustained(profile),
        sections.operators(profile),
        _device_state(profile),
        Section("environment", "Where and with what", facts=sections.environment(profile)),
    )
    trust = Badge("trusted" if profile.valid else "not trusted", "good" if profile.valid else "bad")
    cards = [
        Card("latency", duration(latency.median_ms), (f"95 % interval {duration(latency.low_ms)} to {duration(latency.high_ms)}",)),
        Card("memory for the model", size(profile.memory.added_rss_bytes), (f"of {size(profile.memory.peak_rss_bytes)} in all",)),
        Card("model file", size(profile.memory.model_bytes), (f"loads in {duration(profile.startup.cold_load_ms)}",)),
    ]
    if profile.energy.millijoules is not None:
        cards.append(Card("energy", f"{profile.energy.millijoules:.3g} mJ", (f"a run, by {profile.energy.meter}",)))
    subtitle = f"measured on {profile.machine.cpu} ({profile.runner.on}) with {profile.runner.version}"
    return Page(profile.model["name"], subtitle, (Badge("measured"), trust), tuple(cards), tuple(p for p in parts if p), _footer(profile))


def _sustained(profile: Profile) -> Section | None:
    curve = profile.sustained
    if curve is None:
        return None
    points = [(w.at_s, w.median_ms, w.low_ms, w.high_ms) for w in curve.curve]
    drawn = [Chart(charts.curve(points, "ms", curve.throttled_at_s), "median of the runs in each window; the band is the middle 80 %")]
    clocks = [(w.at_s, w.clock_mhz, w.clock_mhz, w.clock_mhz) for w in curve.curve if w.clock_mhz is not None]
    if len(clocks) > 1:
        drawn.append(Chart(charts.curve(clocks, "MHz", curve.throttled_at_s), "mean clock of the cores"))
    if curve.throttled_at_s is None:
        told = Remark("steady", f"no throttling in {curve.seconds:.0f} s", "good")
    else:
        told = Remark("throttles", f"after {curve.throttled_at_s:.0f} s; {curve.change:+.0%} in the steady state", "warn")
    return Section("sustained", f"{curve.seconds:.0f} seconds back to back", charts=tuple(drawn), findings=(told,))


def _device_state(profile: Profile) -> Section:
    """Clock, temperature, load and memory, before and after."""
    rows = tuple(
        (label, _told(profile.before.get(key), unit), _told(profile.after.get(key), unit))
        for key, (label, unit) in _STATE.items()
        if profile.before.get(key) is not None or profile.after.get(key) is not None
    )
    return Section("state", "Device state", tables=(Table((Column(""), Column("before", True), Column("after", True)), rows),))


def _told(value: object, unit: str) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if unit == "bytes" and isinstance(value, int):
        return size(value)
    return f"{value:,.4g} {unit}".strip() if isinstance(value, int | float) else str(value)


def _counted(profile: CountedProfile) -> Page:
    cards = [Card("model file", size(profile.memory.model_bytes))]
    if profile.counts is not None:
        cards.insert(0, Card("instructions a run", f"{profile.counts.run.total:,}", ("counted; no time",)))
    if profile.estimate is not None:
        cards.append(Card("estimate", f"≈ {duration(profile.estimate.milliseconds)}", ("estimated, not measured",)))
    if profile.memory.arena_bytes is not None:
        cards.append(Card("arena", size(profile.memory.arena_bytes)))
    findings = sections.doubts(profile.validity)
    facts = tuple((label, text) for label, text in counted_rows(profile) if label not in ("", "model", "note"))
    parts = (Section("counted", "Counted" if profile.counts else "Estimated", facts=facts, findings=findings), _counted_ops(profile))
    subtitle = f"{'emulated' if profile.counts else 'estimated'}: {profile.machine.cpu} ({profile.runner.on}) with {profile.runner.version}"
    return Page(profile.model["name"], subtitle, (Badge(profile.basis, "warn"),), tuple(cards), parts, _footer(profile))


def _counted_ops(profile: CountedProfile) -> Section:
    ops = profile.ops
    if not ops.rows:
        return Section("operators", "Operators", (f"No per-operator figures: {ops.reason}.",))
    unit = "instructions" if any(row.instructions is not None for row in ops.rows) else "cycles"
    columns = (
        Column("#", True),
        Column("operator"),
        Column("your module"),
        Column("on"),
        Column(unit, True),
        Column("share", True),
        Column(""),
    )
    ranked = sorted(ops.rows, key=lambda r: -(r.share or 0.0))[: sections.MOST_OPERATORS]
    bars = (charts.share_bar(row.share or 0.0, ranked[0].share or 0.0, row.placed != "cpu") for row in ranked)
    body = tuple((*cells, bar) for cells, bar in zip(counted_op_rows(profile, sections.MOST_OPERATORS), bars, strict=True))
    return Section("operators", "Operators", (f"{ops.basis}: {ops.source}.",), tables=(Table(columns, body),))


def _footer(profile: AnyProfile) -> str:
    return f"edgekit {profile.tools.get('edgekit', '')}, {profile.started}. Intervals are 95 %."
