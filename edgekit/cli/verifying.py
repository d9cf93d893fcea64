"""`edgekit verify` for several artifacts: each against the float model, every two against each other, and layer by layer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.measuring import write_text
from edgekit.cli.parse import nested_dims
from edgekit.cli.preprocessing import take_preprocess
from edgekit.cli.process import importing
from edgekit.cli.tables import label_table, table
from edgekit.cli.terminal import Terminal

if TYPE_CHECKING:
    from edgekit.verification import Verdicts
    from edgekit.verification.metrics import MetricResult
    from edgekit.verification.parity import OutputParity


def verify_several(terminal: Terminal, artifacts: tuple[str, ...], junit: Path | None, options: dict[str, Any]) -> int:
    """Verify, show, and return the exit code: 1 where a gate of any artifact is not met."""
    if options.pop("on") != "host":
        raise click.UsageError("--on runs one artifact: several are compared on this machine.")
    options |= {"preprocess": take_preprocess(options), "dims": nested_dims(options["dims"]), "record": not options.pop("no_record")}
    with bars(terminal, f"verifying {len(artifacts)} artifacts"):
        with importing():
            from edgekit.verification import verify_all
        found = verify_all(artifacts, options.pop("model"), **options)
    write_text(junit, found.to_junit)
    if terminal.as_json:
        terminal.emit_document(found.to_json())
        return 0 if found.passed else 1
    _show(terminal, found)
    found.require()
    return 0


LIKENESS = ("SQNR, dB", "cosine", "top-1 agreement")
"""Headings of `likeness`."""


def likeness(p: OutputParity) -> tuple[str, str, str]:
    """How alike two outputs are, whatever their size."""
    return ratio_text(p), f"{p.cosine:.6f}", "" if p.agreement is None else f"{p.agreement:.1%}"


def ratio_text(p: OutputParity) -> str:
    """The signal to noise ratio in decibels, or that there is no difference."""
    return "exact" if math.isinf(p.sqnr_db) and p.max_abs == 0 else f"{p.sqnr_db:.1f}"


def _show(terminal: Terminal, found: Verdicts) -> None:
    first = next(iter(found.verdicts.values()))
    rows = [("samples", str(first.samples)), ("against", first.reference)]
    for label, verdict in found.verdicts.items():
        rows += [(label, f"{g}: {'met' if g.passed else 'NOT MET'}") for g in verdict.gates if g.name != "finite" or not g.passed]
        rows += [(label, note) for note in verdict.notes]
    terminal.show(label_table(rows), "", _artifacts(found), "", _pairs(found))
    if first.metric:
        terminal.show("", _metrics(found, first.metric))
    if found.layers:
        terminal.show("", _layers(found))


def _artifacts(found: Verdicts) -> Any:
    rows = [(label, v.runtime, p.name, f"{p.max_abs:.3g}", *likeness(p)) for label, v in found.verdicts.items() for p in v.parity]
    return table(("artifact", "ran on", "output", "max abs", *LIKENESS), rows, right=range(3, 7))


def _pairs(found: Verdicts) -> Any:
    rows = [(f"{pair.first} and {pair.second}", p.name, f"{p.max_abs:.3g}", *likeness(p)) for pair in found.pairs for p in pair.parity]
    return table(("pair", "output", "max abs", *LIKENESS), rows, right=range(2, 6))


def _metrics(found: Verdicts, first: MetricResult) -> Any:
    """The float model's value, each artifact's with its difference from that, and the differences of every two."""
    rows = [("float model", str(first.reference or "not measured"), "")]
    rows += [(label, str(v.metric.artifact), str(v.metric.difference or "")) for label, v in found.verdicts.items() if v.metric]
    rows += [(f"{p.first} − {p.second}", "", str(p.metric.difference or "")) for p in found.pairs if p.metric]
    return table(("", first.name, "difference"), rows, right=(1, 2))


def _layers(found: Verdicts) -> Any:
    """Modules down, comparisons across: signal to noise ratios in decibels, with a number where the reader must know something."""
    from rich.console import Group

    columns = list(dict.fromkeys((row.artifact, row.against) for row in found.layers))
    reasons = list(dict.fromkeys(row.reason for row in found.layers if row.reason))
    cells: dict[str, dict[tuple[str, str], str]] = {}
    for row in found.layers:
        mark = f" [{reasons.index(row.reason) + 1}]" if row.reason else ""
        cells.setdefault(row.module or "all modules", {})[row.artifact, row.against] = (ratio_text(row.parity) if row.parity else "") + mark
    rows = ((module, *(texts.get(key, "") for key in columns)) for module, texts in cells.items())
    made = table(("your module: SQNR, dB", *(f"{a}, {b}" for a, b in columns)), rows, right=range(1, len(columns) + 1))
    made.columns[0].no_wrap = True
    return Group(made, *(f"[{i}] {reason}" for i, reason in enumerate(reasons, 1)))
