"""A page about where an artifact loses accuracy, and what was tried against it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.report import charts
from edgekit.report.html import template
from edgekit.report.page import Badge, Card, Chart, Column, Page, Remark, Section, Table

if TYPE_CHECKING:
    from edgekit.debugging import Diagnosis, Fix
    from edgekit.debugging.trials import Trial


def render_diagnosis(found: Diagnosis, fixed: Fix | None = None) -> str:
    """The page as HTML: no script, no network, everything escaped, the same bytes for the same input."""
    worst = found.ranked[0]
    cards = [
        Card("worst layer", worst.name, (f"{worst.share:.0%} of the noise", worst.finding.cause if worst.finding else "")),
        Card("outputs", str(found.outputs), (f"cosine {found.outputs.cosine:.6f}",)),
    ]
    badges = [Badge("debugged")]
    if fixed is not None:
        cards.append(Card("loss", f"{fixed.best.drop:.2%}", (f"{fixed.trials[0].drop:.2%} before; budget {fixed.max_drop:.2%}",)))
        badges.append(Badge("inside the budget" if fixed.passed else "outside the budget", "good" if fixed.passed else "bad"))
    parts = (None if fixed is None else _tried(fixed), _findings(found), _along(found), _layers(found))
    page = Page(
        title=Path(found.artifact).resolve().name,
        subtitle=f"where recipe {found.recipe} loses accuracy, on {found.samples} samples",
        badges=tuple(badges),
        cards=tuple(cards),
        sections=tuple(p for p in parts if p is not None),
        footer="Figures are of the graph that the recipe makes, run with its roundings on this machine.",
    )
    return template().render(page=page)


def _findings(found: Diagnosis) -> Section:
    remarks = [
        Remark(finding.cause, f"{layer.name}, {finding.tensor}: {finding.evidence}. Knobs: {', '.join(finding.knobs)}.", "warn")
        for layer in found.ranked
        if (finding := layer.finding) is not None
    ]
    return Section("findings", "The worst layers, and why", findings=(*remarks, *(Remark("note", n) for n in found.notes)))


def _along(found: Diagnosis) -> Section:
    cumulative = [layer.loss.cumulative.sqnr_db for layer in found.layers]
    here = [layer.loss.here.sqnr_db for layer in found.layers]
    alone = [layer.loss.alone.sqnr_db for layer in found.layers]
    drawn = charts.by_place([("outputs, all layers up to here rounded", cumulative), ("this layer's result", here)], alone, "dB")
    told = (
        "signal to noise by layer, in execution order. Dots: the outputs, where this layer alone is rounded. Lines: the outputs, and (pale)"
        " the layer's own result, where it and all before it are"
    )
    return Section("along", "Along the model", charts=(Chart(drawn, told),))


def _layers(found: Diagnosis) -> Section:
    names = ("noise", "", "outputs, alone", "cosine", "outputs, up to it", "its result, alone", "its result, up to it")
    columns = (Column("#", True), Column("your module"), Column("operator"), *(Column(n, bool(n)) for n in names))
    most = max(layer.share for layer in found.layers)
    rows = []
    for place, layer in enumerate(found.layers, 1):
        loss = layer.loss
        figures = [str(n) for n in (loss.cumulative, loss.own, loss.here)]
        bar = charts.share_bar(layer.share, most, True)
        alone = (str(loss.alone), f"{loss.alone.cosine:.6f}")
        rows.append((str(place), layer.name, loss.layer.op, f"{layer.share:.1%}", bar, *alone, *figures))
    return Section("layers", "All layers, in execution order", tables=(Table(columns, tuple(rows)),))


def _tried(fixed: Fix) -> Section:
    columns = (Column("knob"), Column("change"), *(Column(n, True) for n in ("metric", "loss", "95 % interval", "outputs", "bytes")))
    table = Table(columns, tuple(_trial(t, t is fixed.best) for t in fixed.trials))
    remarks = []
    if fixed.test_drop is not None:
        tone = "good" if fixed.passed else "bad"
        remarks.append(Remark("test data", f"a loss of {fixed.test_drop:.2%} on samples that nothing was chosen with", tone))
    return Section(
        "tried", "What was tried", findings=tuple(remarks), tables=(table,), source_title="the recipe taken", source=fixed.best.recipe
    )


def _trial(trial: Trial, taken: bool) -> tuple[str, ...]:
    change = f"→ {trial.change}" if taken else trial.change
    if trial.value is None:
        return trial.knob, f"{change}: {trial.failure}", "", "", "", "", ""
    interval = f"{trial.low:.2%} to {trial.high:.2%}"
    return trial.knob, change, f"{trial.value:.4f}", f"{trial.drop:.2%}", interval, trial.nearness, f"{trial.bytes:,}"
