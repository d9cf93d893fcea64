"""Tables of `edgekit debug`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.cli.tables import label_table, table
from edgekit.cli.terminal import Terminal
from edgekit.debugging.diagnosis import FLOAT_ROUNDING

if TYPE_CHECKING:
    from edgekit.debugging import Diagnosis, Fix
    from edgekit.debugging.trials import Trial


TOLD = 0.02
"""Share of the noise from which on a layer's cause is told."""


def show(terminal: Terminal, found: Diagnosis, top: int) -> None:
    """What was found, the `top` worst layers first."""
    rows = [("samples", str(found.samples)), ("recipe", found.recipe)]
    rows.append(("outputs", f"{found.outputs}, cosine {found.outputs.cosine:.6f}, against the model before rounding"))
    if found.before.sqnr_db < FLOAT_ROUNDING:
        rows.append(("before rounding", f"{found.before} against the float model: what earlier passes lose"))
    if found.file is not None:
        rows.append(("file", f"{found.file} from the graph that these figures are of"))
    rows += [("note", note) for note in found.notes]
    terminal.show(label_table(rows), "", _layers(found, top), "", *_findings(found, top))


def show_fix(terminal: Terminal, fixed: Fix) -> None:
    """What was tried, and what came of it."""
    rows = [("budget", f"{fixed.max_drop:.2%}"), ("taken", fixed.best.change), ("artifact", str(fixed.artifact.path))]
    rows.append(("loss", _loss(fixed.best)))
    if fixed.test is not None:
        metric = fixed.test.metric
        assert metric is not None and fixed.test_drop is not None
        rows.append(("on the test data", f"{metric.name} {metric.artifact}, float {metric.reference}: a loss of {fixed.test_drop:.2%}"))
    else:
        rows.append(("note", "the loss is on the data the knobs were chosen with, which flatters it; --test gives it on other data"))
    rows.append(("record", str(fixed.record)))
    terminal.show("", _trials(fixed), "", label_table(rows))


def _layers(found: Diagnosis, top: int) -> Any:
    rows = []
    for layer in found.ranked[:top]:
        loss = layer.loss
        figures = (f"{layer.share:.1%}", str(loss.alone), f"{loss.alone.cosine:.6f}")
        rows.append((layer.name, loss.layer.op, *figures, str(loss.cumulative), str(loss.own)))
    columns = ("layer", "operator", "noise", "outputs, alone", "cosine", "outputs, up to it", "its result, alone")
    return table(columns, rows, right=range(2, 7))


def _findings(found: Diagnosis, top: int) -> list[Any]:
    from rich.text import Text

    lines: list[Any] = []
    for place, layer in enumerate(found.ranked[:top], 1):
        if (finding := layer.finding) is not None and (place == 1 or layer.share >= TOLD):
            lines.append(Text.assemble(f"{place}. ", (layer.name, "bold"), f", {finding.tensor}: ", (finding.cause, "yellow")))
            lines.append(Text(f"   {finding.evidence}"))
            lines.append(Text(f"   knobs: {', '.join(finding.knobs)}"))
    return lines


def _trials(fixed: Fix) -> Any:
    rows: list[tuple[str, ...]] = []
    for trial in fixed.trials:
        taken = "→" if trial is fixed.best else ""
        if trial.failure is not None or trial.value is None:
            rows.append((taken, trial.knob, f"{trial.change}: {trial.failure}"))
            continue
        rows.append((taken, trial.knob, trial.change, f"{trial.value:.4f}", f"{trial.drop:.2%}", trial.nearness, f"{trial.bytes:,}"))
    return table(("", "knob", "change", "metric", "loss", "outputs", "bytes"), rows, right=range(3, 7))


def _loss(trial: Trial) -> str:
    return f"{trial.drop:.2%}, 95 % interval {trial.low:.2%} to {trial.high:.2%}"
