"""`edgekit profile`: how long a model takes, where, and whether the figures can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_file
from edgekit.cli.failures import INTERRUPTED
from edgekit.cli.measuring import HEADING, measuring_options
from edgekit.cli.outputs import Outputs, output_options
from edgekit.cli.section import option, section
from edgekit.cli.tables import label_table, table

if TYPE_CHECKING:
    from edgekit.profiling.everywhere import Measured
    from edgekit.profiling.gate import Regression
    from edgekit.profiling.reading import AnyProfile

MOST_OPERATORS = 12
UNTRUSTED, UNAVAILABLE = 3, 4


@command("profile")
@click.argument("model", shell_complete=complete_file)
@measuring_options(several=True)
@section(
    HEADING,
    option("--launches", type=click.IntRange(1), help="Fresh processes to measure in; by default 5, or 3 with --quick."),
    option(
        "--sustained",
        type=click.FloatRange(1),
        metavar="SECONDS",
        help="Then run back to back for so long: shows when the device throttles.",
    ),
    option("--percentile", type=click.Choice(["90", "95", "99"]), help="A percentile that must be told: too few samples exit with 3."),
    option("--no-fallback", is_flag=True, help="An operator outside the delegate exits with 3."),
    option(
        "--estimate",
        metavar="DEVICE",
        help="Convert counted instructions to an estimated time: a device file's name, or a path to your own .toml.",
    ),
)
@output_options
@click.option("--all-operators", is_flag=True, help="List every operator, not only the slowest.")
def profile(terminal: Terminal, model: str, devices: tuple[str, ...], **options: Any) -> int:
    """Measure MODEL: latency with its 95 % interval, load time, memory, and what each operator takes.

    MODEL is an artifact's folder or a model file. Every launch is a fresh process. Ctrl-C keeps what was measured, marked
    partial; --out is written after each launch. A measurement that cannot be trusted exits with 3 and says why; a device that is
    not there, or was lost, with 4. Emulators count instructions, which are no time. Of several devices, one that fails does not
    lose the others' results.

    \b
      edgekit profile build/model
      edgekit profile build/model --threads 4 --json
      edgekit profile build/model --baseline main.json --max-regression 5%
      edgekit profile build/model --on qemu:cortex-m4 --estimate nrf52840
      edgekit profile build/model --on host --on qemu:cortex-a76 --on adb --on ssh:pi@board
    """
    outputs, every = Outputs.taken(options), options.pop("all_operators")
    options["percentile"] = options["percentile"] and int(options["percentile"])
    every = None if every else MOST_OPERATORS
    if len(devices) > 1:
        return _several(terminal, model, devices, options, outputs=outputs, most=every)
    with bars(terminal, f"profiling {model}"):
        import edgekit

        found = edgekit.profile(model, on=devices[0], on_launch=outputs.keep, **options)
    held = outputs.write(found)
    if terminal.as_json:
        terminal.emit_document(found.to_json())
    else:
        _show(terminal, found, every, held)
    code = _code(found)
    if code == 0 and held:
        held.require()
    return code


def _several(
    terminal: Terminal, model: str, devices: tuple[str, ...], options: dict[str, Any], *, outputs: Outputs, most: int | None
) -> int:
    """Each result is written as soon as it is there; the exit code is that of the worst."""
    done: list[tuple[Measured, Regression | None]] = []
    with bars(terminal, f"profiling {model} on {len(devices)} devices"):
        from edgekit.profiling.everywhere import profile_each

        for measured in profile_each(model, devices, on_launch=lambda found: outputs.keep(found, found.runner.on), **options):
            done.append((measured, outputs.write(measured.profile, measured.on) if measured.profile else None))
    if terminal.as_json:
        terminal.emit("edgekit.profiles/1", {"profiles": [measured.to_json() for measured, _ in done]})
    else:
        for measured, held in done:
            _show_one(terminal, measured, most, held)
    codes = [_code(measured.profile) if measured.profile else measured.error.exit_code if measured.error else 0 for measured, _ in done]
    codes.append(int(any(held and not held.passed for _, held in done)))
    return next((code for code in (INTERRUPTED, UNAVAILABLE, UNTRUSTED) if code in codes), max(codes))


def _code(found: AnyProfile) -> int:
    if any(finding.code in ("lost", "failed") for finding in found.validity.reasons):
        return UNAVAILABLE
    if found.partial:
        return INTERRUPTED
    return 0 if found.valid else UNTRUSTED


def _show_one(terminal: Terminal, measured: Measured, most: int | None, held: Regression | None) -> None:
    from rich.rule import Rule

    terminal.show(Rule(f"on {measured.on}", align="left", style="dim"))
    if measured.profile:
        _show(terminal, measured.profile, most, held)
    else:
        terminal.show(f"no result: {measured.error}")
    terminal.show("")


def _show(terminal: Terminal, found: AnyProfile, most: int | None, held: Regression | None) -> None:
    from edgekit.profiling.counted import CountedProfile
    from edgekit.profiling.counted_rows import counted_op_rows, counted_rows
    from edgekit.profiling.presenting import op_rows, rows

    if isinstance(found, CountedProfile):
        terminal.show(label_table(counted_rows(found)), "")
        columns = (
            "#",
            "operator",
            "your module",
            *(("ran on", "instructions") if found.counts else ("placed on", "cycles (estimate)")),
            "share",
        )
        _show_operators(terminal, found, counted_op_rows(found, most), columns)
    else:
        terminal.show(label_table(rows(found)), "")
        _show_operators(terminal, found, op_rows(found, most), ("#", "operator", "your module", "ran on", "time", "share"))
    if held:
        terminal.show("", f"baseline: {held}")


def _show_operators(terminal: Terminal, found: AnyProfile, ops: Sequence[tuple[str, ...]], columns: tuple[str, ...]) -> None:
    if not ops:
        terminal.show(f"nothing by operator: {found.ops.reason}")
        return
    terminal.show(table(columns, ops, right=(0, 4, 5)))
    if len(ops) < len(found.ops.rows):
        terminal.show(f"the {len(ops)} costliest of {len(found.ops.rows)} operators; --all-operators lists the rest")
