"""`edgekit debug`: which layers cost the artifact its accuracy, why, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_file
from edgekit.cli.measuring import DELEGATE, RUNTIME, write_text
from edgekit.cli.parse import Share, nested_dims
from edgekit.cli.preprocessing import preprocess_options, take_preprocess
from edgekit.cli.process import importing
from edgekit.cli.section import option, section
from edgekit.cli.shrinking import NOBODY, lesson_options, take_lessons
from edgekit.cli.sources import source_options

if TYPE_CHECKING:
    from edgekit.debugging import Diagnosis, Fix

ONLY_FIX = ("max_drop", "out", "test", "metric", "overwrite")
"""Parameters that only a fix has."""


@command("debug")
@click.argument("artifact", shell_complete=complete_file)
@section(
    "The samples",
    option(
        "--data",
        "-d",
        required=True,
        shell_complete=complete_file,
        help="Typical inputs, for --fix with labels: .npz, .npy or a folder of images.",
    ),
    option(
        "--calibration",
        "-c",
        shell_complete=complete_file,
        help="What the artifact was calibrated on, for the same grids; by default a part of --data.",
    ),
    option("--samples", type=click.IntRange(1), help="Use at most so many of --data."),
)
@section(
    "Fixing",
    option("--fix", is_flag=True, help="Turn the recipe's knobs, the cheapest first, until the loss is inside --max-drop."),
    option("--max-drop", type=Share(), help="How far the metric may fall below the float model's, such as 0.5%."),
    option("--out", "-o", type=click.Path(path_type=Path), help="Folder for the fixed artifact; by default ARTIFACT-fixed."),
    option("--test", shell_complete=complete_file, help="Other labelled samples, to hold the result against once more."),
    option("--metric", help="As verify takes it; by default accuracy."),
    option("--force", "overwrite", is_flag=True, help="Replace an artifact that is already there."),
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Layers to show.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page with a chart here.")
@preprocess_options
@click.option("--target", type=click.Path(path_type=Path), help="The .toml the artifact was made for, where it is no built-in target.")
@source_options
@lesson_options
@section("Running it", RUNTIME, DELEGATE)
def debug(terminal: Terminal, artifact: str, **options: Any) -> int:
    """Find the layers that cost ARTIFACT, a folder made by edgekit convert, its accuracy; with --fix, win it back.

    The artifact's recipe is applied to the float model again. Then each layer's roundings are put in alone, and all of them one after the
    other; what the outputs lose ranks the layers. For the worst ones the cause is named, and the knob of the recipe that addresses it.
    A recipe that trains wants its training data again.

    \b
      edgekit debug build/model --data test.npz --calibration train.npz
      edgekit debug build/model --data train.npz --test test.npz --fix --max-drop 0.5%

    --fix tries calibration, equalization, bias correction, AdaRound, then int16 and at last float for the worst layers. Each trial is a
    file, run on its runtime; all are kept in OUT.trials.json, where an interrupted fix goes on. It exits with 1 if no knob suffices.
    """
    fixing, top, page = options.pop("fix"), options.pop("top"), options.pop("html")
    only = {name: options.pop(name) for name in ONLY_FIX}
    _check(fixing, only)
    with bars(terminal, f"debugging {artifact}"):
        lessons = take_lessons(options)
        if lessons.get("teacher") == NOBODY:  # the recipe says so itself
            del lessons["teacher"]
        options |= lessons | {"preprocess": take_preprocess(options), "dims": nested_dims(options["dims"])}
        with importing():
            from edgekit.debugging import debug as run
            from edgekit.debugging import fix as turn
        model = options.pop("model")
        fixed = turn(artifact, model, **options, **only) if fixing else None
        found = run(artifact, model, **options) if fixed is None else fixed.diagnosis
    _write_page(page, found, fixed)
    if terminal.as_json:
        fix_document = None if fixed is None else {**fixed.to_json(), "trials": [t.to_json() for t in fixed.trials]}
        terminal.emit_document({**found.to_json(), "fix": fix_document})
        return 0 if fixed is None or fixed.passed else 1
    from edgekit.cli.debugging import show, show_fix

    show(terminal, found, top)
    if fixed is not None:
        show_fix(terminal, fixed)
        fixed.require()
    return 0


def _check(fixing: bool, only: dict[str, Any]) -> None:
    if fixing and only["max_drop"] is None:
        raise click.UsageError("--fix needs --max-drop, such as --max-drop 0.5%.")
    if not fixing and (given := [name for name, value in only.items() if value]):
        raise click.UsageError(f"--{given[0].replace('_', '-').replace('overwrite', 'force')} is an option of --fix.")


def _write_page(path: Path | None, found: Diagnosis, fixed: Fix | None) -> None:
    if path is not None:
        from edgekit.report import render_diagnosis

        write_text(path, lambda: render_diagnosis(found, fixed))
