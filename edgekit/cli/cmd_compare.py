"""`edgekit compare`: is B faster than A?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_file
from edgekit.cli.measuring import HEADING, measuring_options, write_text
from edgekit.cli.section import option, section
from edgekit.cli.tables import label_table


@command("compare")
@click.argument("a", shell_complete=complete_file)
@click.argument("b", shell_complete=complete_file)
@measuring_options(several=False)
@section(
    HEADING,
    option("--rounds", type=click.IntRange(3), help="Launches of each, at most; by default 30, or 10 with --quick."),
    option("--margin", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Differences within this share count as none."),
    option("--seed", type=int, default=0, show_default=True, help="Of the order of launches and the bootstrap."),
)
@click.option(
    "--out", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Also write the JSON document, raw samples and all, here."
)
def compare(terminal: Terminal, a: str, b: str, out: Path | None, **options: Any) -> int:
    """Say whether B is faster or slower than A, or that no difference was found.

    A and B are artifacts' folders or model files. Both are launched in turns, so that what disturbs one disturbs the
    other; the ratio of their times has a 95 % interval.

    \b
      edgekit compare build/float build/int8
    """
    import json

    with bars(terminal, f"comparing {a} and {b}"):
        import edgekit

        found = edgekit.compare(a, b, **options)
        from edgekit.profiling.presenting import comparison_rows
    write_text(out, lambda: json.dumps(found.to_json(), indent=1) + "\n")
    if terminal.as_json:
        terminal.emit_document(found.to_json())
    else:
        terminal.show(label_table(comparison_rows(found)))
    return 0 if found.validity.valid else 3
