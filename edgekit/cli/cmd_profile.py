"""`edgekit profile`: how long a model takes, where, and whether the figures can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.failures import INTERRUPTED
from edgekit.cli.measuring import label_table, measuring_options
from edgekit.cli.outputs import Outputs, output_options

if TYPE_CHECKING:
    from edgekit.profiling import Profile

MOST_OPERATORS = 12


@command("profile")
@click.argument("model")
@measuring_options
@click.option("--launches", type=click.IntRange(1), help="Fresh processes to measure in; by default 5, or 3 with --quick.")
@click.option(
    "--sustained", type=click.FloatRange(1), metavar="SECONDS", help="Then run back to back for so long: shows when the device throttles."
)
@click.option("--percentile", type=click.Choice(["90", "95", "99"]), help="A percentile that must be told: too few samples exit with 3.")
@click.option("--no-fallback", is_flag=True, help="An operator outside the delegate exits with 3.")
@output_options
@click.option("--all-operators", is_flag=True, help="List every operator, not only the slowest.")
def profile(terminal: Terminal, model: str, **options: Any) -> int:
    """Measure MODEL: latency with its 95 % interval, load time, memory, and what each operator takes.

    MODEL is an artifact's folder or a model file. Every launch is a fresh process. Ctrl-C keeps what was measured, marked
    partial. A measurement that cannot be trusted exits with 3 and says why.

    \b
      edgekit profile build/model
      edgekit profile build/model --threads 4 --json
      edgekit profile build/model --baseline main.json --max-regression 5%
    """
    outputs, every = Outputs.taken(options), options.pop("all_operators")
    options["percentile"] = options["percentile"] and int(options["percentile"])
    with bars(terminal, f"profiling {model}"):
        import edgekit

        found = edgekit.profile(model, **options)
    held = outputs.write(found)
    if terminal.as_json:
        document = found.to_json()
        terminal.emit(document.pop("schema"), document)
    else:
        _show(terminal, found, None if every else MOST_OPERATORS)
        if held:
            terminal.show("", f"baseline: {held}")
    if found.partial:
        return INTERRUPTED
    if found.valid and held:
        held.require()
    return 0 if found.valid else 3


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
