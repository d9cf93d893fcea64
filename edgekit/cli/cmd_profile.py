"""`edgekit profile`: how long a model takes, where, and whether the figures can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.failures import INTERRUPTED
from edgekit.cli.measuring import label_table, measuring_options, write_text

if TYPE_CHECKING:
    from edgekit.profiling import Profile

MOST_OPERATORS = 12


@command("profile")
@click.argument("model")
@measuring_options
@click.option("--launches", type=click.IntRange(1), help="Fresh processes to measure in; by default 5, or 3 with --quick.")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Also write the JSON document, raw samples and all, here."
)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Also write a JUnit report here.")
@click.option("--all-operators", is_flag=True, help="List every operator, not only the slowest.")
def profile(terminal: Terminal, model: str, **options: Any) -> int:
    """Measure MODEL: latency with its 95 % interval, load time, memory, and what each operator takes.

    MODEL is an artifact's folder or a model file. Every launch is a fresh process. Ctrl-C keeps what was measured, marked
    partial. A measurement that cannot be trusted exits with 3 and says why.

    \b
      edgekit profile build/model
      edgekit profile build/model --threads 4 --json
    """
    out, junit, every = (options.pop(name) for name in ("out", "junit", "all_operators"))
    with bars(terminal, f"profiling {model}"):
        import edgekit

        found = edgekit.profile(model, **options)
    _write(found, out, junit)
    if terminal.as_json:
        document = found.to_json()
        terminal.emit(document.pop("schema"), document)
    else:
        _show(terminal, found, None if every else MOST_OPERATORS)
    if found.partial:
        return INTERRUPTED
    return 0 if found.valid else 3


def _write(found: Profile, out: Path | None, junit_file: Path | None) -> None:
    import json

    from edgekit.profiling.presenting import junit

    write_text(out, lambda: json.dumps(found.to_json(), indent=1) + "\n")
    write_text(junit_file, lambda: junit(found))


def _show(terminal: Terminal, found: Profile, most: int | None) -> None:
    from rich.table import Table

    from edgekit.profiling.presenting import op_rows, rows

    terminal.show(label_table(rows(found)), "")
    ops = op_rows(found, most)
    if not ops:
        terminal.show(f"no per-operator times: {found.ops.reason}")
        return
    table = Table("#", "operator", "your module", "ran on", "time", "share", box=None)
    for index in (0, 4, 5):
        table.columns[index].justify = "right"
    for row in ops:
        table.add_row(*row)
    terminal.show(table)
    if len(ops) < len(found.ops.rows):
        terminal.show(f"the {len(ops)} slowest of {len(found.ops.rows)} operators; --all-operators lists the rest")
