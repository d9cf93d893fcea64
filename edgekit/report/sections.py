"""The parts of the page below its summary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from markupsafe import Markup

from edgekit.artifact import Artifact
from edgekit.profiling import Profile, rows
from edgekit.profiling.presenting import op_time
from edgekit.profiling.profiles import OpRow
from edgekit.profiling.validity import Validity
from edgekit.report import charts
from edgekit.report.page import Cell, Chart, Column, Facts, Remark, Section, Table
from edgekit.tensors import TensorSpec
from edgekit.units import duration, size
from edgekit.verification import Verdict

MOST_OPERATORS = 40


def interface(artifact: Artifact) -> Section:
    """Inputs and outputs, as an app must feed and read them."""
    manifest = artifact.manifest
    columns = (Column("name"), Column("shape"), Column("dtype"), Column("real value"))
    tables = tuple(
        Table(columns, tuple((s.name, " × ".join(map(str, s.shape)) or "scalar", s.dtype, _grid(s)) for s in specs), title)
        for title, specs in (("Inputs", manifest.inputs), ("Outputs", manifest.outputs))
    )
    facts: list[tuple[str, str]] = []
    if manifest.labels:
        facts.append(("labels", ", ".join(manifest.labels)))
    if manifest.description:
        facts.append(("description", manifest.description))
    return Section("interface", "Inputs and outputs", facts=tuple(facts), tables=tables)


def concessions(artifact: Artifact) -> Section | None:
    """What is not as a user might assume."""
    notes = artifact.manifest.notes
    if not notes:
        return None
    return Section("concessions", "Concessions", findings=tuple(Remark("accepted", note, "warn") for note in notes))


def parity(verdict: Verdict) -> Section:
    """Against the float model."""
    columns = (Column("output"), *(Column(c, True) for c in ("largest difference", "RMSE", "signal to noise", "cosine", "same top answer")))
    body = tuple(
        (
            p.name,
            f"{p.max_abs:.3g}",
            f"{p.rmse:.3g}",
            _decibels(p.sqnr_db),
            f"{p.cosine:.6f}",
            "" if p.agreement is None else f"{p.agreement:.1%}",
        )
        for p in verdict.parity
    )
    gates = [Remark("met" if g.passed else "not met", str(g), "good" if g.passed else "bad") for g in verdict.gates]
    text = f"Both models on the same {verdict.samples} samples; the artifact ran on {verdict.runtime} ({verdict.delegate})."
    remarks = (*gates, *(Remark("note", n, "warn") for n in verdict.notes))
    return Section("parity", "Against the float model", (text,), tables=(Table(columns, body),), findings=remarks)


def measurement(profile: Profile) -> Section:
    """How long it takes, and whether to believe it."""
    samples = [launch.timings.samples_ns for launch in profile.launches]
    scale, unit = (1e3, "µs") if profile.latency.median_ms < 1 else (1e6, "ms")
    latency = profile.latency
    low, high, median = (ms * 1e6 / scale for ms in (latency.low_ms, latency.high_ms, latency.median_ms))
    pooled = np.concatenate(samples) / scale
    inside = float((pooled <= max(charts.tail(pooled), high)).mean())
    drawn = charts.histogram(pooled, low, high, median, unit)
    told = f"the fastest {inside:.1%} of {len(pooled)} runs; the line is the median of launch medians, the band its 95 % interval"
    shown = (
        Chart(drawn, told),
        Chart(
            charts.launches([s / scale for s in samples], unit),
            "each launch is a fresh process: the middle half of its runs, and their median",
        ),
    )
    trusted = (Remark("trusted", "no reason was found to doubt these figures", "good"),) if profile.valid else ()
    facts = tuple((label, text) for label, text in rows(profile) if label not in ("", "note", "trusted", "model"))
    return Section("measurement", "Measured", facts=facts, charts=shown, findings=(*trusted, *doubts(profile.validity)))


def doubts(validity: Validity) -> tuple[Remark, ...]:
    """Why a measurement is not trusted, and what else to know of it."""
    reasons = (Remark("not trusted", f.text, "bad") for f in validity.reasons)
    return (*reasons, *(Remark("note", f.text, "warn") for f in validity.warnings))


def operators(profile: Profile) -> Section:
    """Where the time goes, by operator and by the user's module."""
    ops = profile.ops
    if not ops.rows:
        return Section("operators", "Operators", (f"No per-operator times: {ops.reason}.",))
    ranked = sorted(ops.rows, key=lambda row: -(row.mean_us or 0.0))
    text = f"From an instrumented launch of its own ({ops.runs} runs), so that instruments do not slow the figures above. {ops.source}."
    covered = f"They add up to {duration(profile.ops_ms)} of the median's {duration(profile.latency.median_ms)}."
    caption = Chart(Markup(""), _key(ops.rows, profile.runner.delegate))
    tables = [_op_table(ranked[:MOST_OPERATORS], len(ranked))]
    if by_module := _modules(ops.rows):
        tables.append(by_module)
    return Section("operators", "Operators", (text, covered), charts=(caption,), tables=tuple(tables))


def origin(artifact: Artifact, profile: Profile | None) -> Section:
    """What made it, of what, and where it was measured."""
    m = artifact.manifest
    facts: list[tuple[str, str]] = [
        ("source", f"{m.source.name} ({m.source.framework})"),
        ("source digest", m.source.digest),
        ("model digest", m.model_sha256),
        ("target", m.target),
        ("recipe", m.recipe),
        ("batch size", str(m.batch)),
        ("made with", _versions(m.tools.items())),
    ]
    if profile is not None:
        facts += environment(profile)
    return Section("origin", "Where it comes from", facts=tuple(facts), source_title="the recipe", source=artifact.recipe_text)


def environment(profile: Profile) -> Facts:
    """Machine, time and versions of a measurement."""
    machine = profile.machine
    virtual = ", virtual" if machine.virtual else ""
    return (
        (
            "measured on",
            f"{machine.cpu}, {machine.cores} cores{virtual}, {size(machine.memory_bytes)}, {machine.system} {machine.architecture}",
        ),
        ("measured at", profile.started),
        ("measured with", _versions([*profile.tools.items(), ("engine", profile.runner.version)])),
        ("fed with", profile.runner.inputs),
    )


def _versions(tools: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(tools))


def _grid(spec: TensorSpec) -> str:
    if spec.grid is None:
        return "as is"
    if len(spec.grid.scale) > 1:
        return f"{len(spec.grid.scale)} scales on axis {spec.grid.axis}"
    return f"{spec.grid.scale[0]:.6g} × (q − {spec.grid.zero_point[0]})".replace("− -", "+ ")


def _decibels(value: float) -> str:
    return "equal" if math.isinf(value) and value > 0 else f"{value:.1f} dB"


def _op_table(ranked: list[OpRow], total: int) -> Table:
    most = max((row.share or 0.0 for row in ranked), default=0.0)
    columns = (Column("#", True), Column("operator"), Column("your module"), Column("time", True), Column("share", True), Column(""))
    title = "" if len(ranked) == total else f"The {len(ranked)} slowest of {total}"
    return Table(columns, tuple(_op_cells(row, most) for row in ranked), title)


def _op_cells(row: OpRow, most: float) -> tuple[Cell, ...]:
    share = "" if row.share is None else f"{row.share:.1%}"
    bar = charts.share_bar(row.share or 0.0, most, row.delegated)
    return "" if row.index is None else str(row.index), row.name, row.module or "", op_time(row), share, bar


def _modules(table: Iterable[OpRow]) -> Table | None:
    """Time by the user's module, where more than one is known."""
    totals: dict[str, tuple[float, float, int]] = {}
    for row in table:
        if row.module:
            time, share, count = totals.get(row.module, (0.0, 0.0, 0))
            totals[row.module] = (time + (row.mean_us or 0.0), share + (row.share or 0.0), count + 1)
    if len(totals) < 2:
        return None
    ranked = sorted(totals.items(), key=lambda item: (-item[1][0], item[0]))[:MOST_OPERATORS]
    most = ranked[0][1][1]
    columns = (Column("your module"), Column("operators", True), Column("time", True), Column("share", True), Column(""))
    body = ((name, str(n), f"{us:.1f} µs", f"{share:.1%}", charts.share_bar(share, most, True)) for name, (us, share, n) in ranked)
    return Table(columns, tuple(body), "By module")


def _key(table: Iterable[OpRow], delegate: str) -> Markup:
    def entries() -> Iterator[Markup]:
        kinds = {row.delegated for row in table}
        if True in kinds:
            yield Markup('<span class="key bar"></span>{}').format(delegate)
        if False in kinds:
            yield Markup('<span class="key bar cpu"></span>{}').format(
                "the engine's own kernels" if True in kinds else "the engine's kernels"
            )

    return Markup("").join(entries())
