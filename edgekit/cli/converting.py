"""`edgekit convert` for several targets: one table, one JSON document, and an exit code that says whether all went well."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.failures import as_data, write
from edgekit.cli.process import importing
from edgekit.cli.shrinking import Shrinking, gains_of
from edgekit.cli.tables import table
from edgekit.cli.terminal import Terminal
from edgekit.errors import UsageError
from edgekit.wording import plural

if TYPE_CHECKING:
    from edgekit.artifact import Artifact
    from edgekit.conversion import Conversions
    from edgekit.recipe import Recipe

MOST_LISTED = 40
"""Concessions that are shown."""

Seconds = dict[str, dict[str, float]]
"""By target (empty for what is done for all) and step."""


def convert_several(
    terminal: Terminal, model: str, targets: tuple[str, ...], options: dict[str, Any], shrinking: Shrinking, *, timings: bool
) -> int:
    """Convert, show what became of each target, and return the exit code: that of the first error."""
    if shrinking.fit:
        raise click.UsageError("--fit is for one target: what fits one need not fit another.")
    seconds: Seconds = {"": {}}

    def note(target: str, step: str, took: float) -> None:
        seconds.setdefault(target, {})[step] = seconds.get(target, {}).get(step, 0.0) + took

    with bars(terminal, f"converting {model}"):
        from edgekit.conversion.several import convert_all, workers

        with workers(len(targets)) as nursery:  # it imports what conversions need while this process imports what loading needs
            with importing():
                from edgekit import canonicalize, loading  # noqa: F401

                if model.endswith((".keras", ".h5")):
                    from edgekit.loading.keras_import import import_keras

                    import_keras()
            note("", "start Python and import", age())
            recipes = _recipes(shrinking, targets, options["recipe"])
            options |= {"recipe": recipes} | shrinking.data
            with shrinking.beside(*recipes.values()) as unpruned:
                done = convert_all(model, targets, **options, unpruned=unpruned, on_step=note, nursery=nursery)
                done = _measured(done, shrinking, unpruned, note)
    note("", "total", age())
    seconds = {target: seconds[target] for target in ("", *(o.target for o in done.outcomes)) if target in seconds}
    if terminal.as_json:
        terminal.emit("edgekit.conversions/1", _document(terminal, done, seconds))
    else:
        _show(terminal, done, seconds, timings=timings)
    gates = {target: failed for target, artifact in done.artifacts.items() if (failed := shrinking.gate(artifact))}
    errors = done.errors | gates
    for target, error in errors.items():
        write(error, terminal, target)
    return next((error.exit_code for error in errors.values()), 0)


def _recipes(shrinking: Shrinking, targets: tuple[str, ...], given: Mapping[str, str]) -> dict[str, Recipe]:
    """The recipe of each target by its name; one may be given under a target's name or its path.

    Raises:
        UsageError: One is given for what is no target here.
    """
    from edgekit.targets import load_target

    names = {target: load_target(target).name for target in targets}
    if unknown := sorted(set(given) - {*names, *names.values()}):
        raise UsageError(f"a recipe is given for {unknown}", accepted=list(names.values()), next_step="name the target too")
    return {name: shrinking.recipe(target, given.get(name, given.get(target))) for target, name in names.items()}


def _measured(done: Conversions, shrinking: Shrinking, unpruned: Path | None, note: Callable[[str, str, float], None]) -> Conversions:
    """The same, with what pruning gained each target, one after the other: side by side they would disturb each other."""
    if unpruned is None:
        return done
    outcomes = [
        outcome
        if outcome.artifact is None
        else replace(outcome, artifact=shrinking.measured(outcome.artifact, unpruned / outcome.target, partial(note, outcome.target)))
        for outcome in done.outcomes
    ]
    return replace(done, outcomes=tuple(outcomes))


def age() -> float:
    """Seconds since this process began, the interpreter's own start included."""
    import psutil

    return time.time() - float(psutil.Process().create_time())


def artifact_data(artifact: Artifact) -> dict[str, Any]:
    """Where an artifact is, and its manifest."""
    size = artifact.model_bytes
    return {"path": str(artifact.path), "model_file": str(artifact.model_file), "bytes": size, "manifest": artifact.manifest.to_json()}


def gained(artifact: Artifact) -> list[tuple[Any, str]]:
    """Labels and texts of what pruning gained, if it was measured; that nothing was is a warning."""
    from rich.text import Text

    from edgekit.profiling import gain_rows

    found = gains_of(artifact)
    return [(Text(label, "yellow" if label == "no measured gain" else ""), text) for label, text in gain_rows(found)] if found else []


def _document(terminal: Terminal, done: Conversions, seconds: Seconds) -> dict[str, Any]:
    rounded = {target: {step: round(took, 4) for step, took in steps.items()} for target, steps in seconds.items()}
    rows = []
    for outcome in done.outcomes:
        artifact = artifact_data(outcome.artifact) if outcome.artifact is not None else None
        error = as_data(outcome.error, terminal) if outcome.error is not None else None
        rows.append({"target": outcome.target, "artifact": artifact, "error": error, "seconds": rounded.get(outcome.target, {})})
    return {"seconds": rounded[""], "targets": rows}


def _show(terminal: Terminal, done: Conversions, seconds: Seconds, *, timings: bool) -> None:
    from rich.text import Text

    rows: list[tuple[Any, ...]] = []
    for outcome in done.outcomes:
        if outcome.artifact is None:
            rows.append((outcome.target, "", Text("not made", "bold red")))
            continue
        manifest = outcome.artifact.manifest
        counts = (f"{outcome.artifact.model_bytes:,}", str(len(manifest.ops)), str(len(manifest.notes)))
        rows.append((outcome.target, manifest.recipe, str(outcome.artifact.model_file), *counts, f"{sum(outcome.seconds.values()):.1f}"))
    columns = ("target", "recipe", "model", "bytes", "operators", "concessions", "seconds")
    terminal.show(table(columns, rows, right=(3, 4, 5, 6)), *_gains(done), *_concessions(done))
    if timings:
        terminal.show("", _timing_table(seconds))


def _gains(done: Conversions) -> list[Any]:
    """What pruning gained, by target."""
    rows = [(target, *row) for target, artifact in done.artifacts.items() for row in gained(artifact)]
    return ["", table(None, rows)] if rows else []


def listed(concessions: Sequence[str]) -> list[Any]:
    """Concessions under a heading; of very many the first, for hundreds of lines would hide what matters."""
    from rich.text import Text

    lines = [Text(f"  - {concession}") for concession in concessions[:MOST_LISTED]]
    if more := len(concessions) - len(lines):
        lines.append(Text(f"  … and {more:,} more: the manifest and --json have them all"))
    return [Text(f"{plural(len(concessions), 'concession')}:", "yellow"), *lines] if lines else []


def _concessions(done: Conversions) -> list[Any]:
    """Each concession once, with the targets that make it."""
    makers: dict[str, list[str]] = {}
    for target, artifact in done.artifacts.items():
        for note in artifact.manifest.notes:
            makers.setdefault(note, []).append(target)
    everyone = len(done.artifacts)
    lines = [f"{'all' if len(who) == everyone > 1 else ', '.join(who)}: {note}" for note, who in makers.items()]
    return ["", *listed(lines)] if lines else []


def _timing_table(seconds: Mapping[str, Mapping[str, float]]) -> Any:
    """Steps by target; those of all first."""
    names = dict.fromkeys(step for steps in seconds.values() for step in steps if step != "total")
    rows = [(step, *(f"{steps[step]:.2f}" if step in steps else "" for steps in seconds.values())) for step in names]
    rows.append(("total", *(f"{sum(steps.values()) if target else steps['total']:.2f}" for target, steps in seconds.items())))
    return table(("step", *(target or "all" for target in seconds)), rows, right=range(1, len(seconds) + 1))
