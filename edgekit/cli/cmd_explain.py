"""`edgekit explain`: what a model file really is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.measuring import label_table

if TYPE_CHECKING:
    from edgekit.conversion import Explanation


@command("explain")
@click.argument("file")
@click.option(
    "--delegate",
    type=click.Choice(["xnnpack", "none", "reference"]),
    default="xnnpack",
    show_default=True,
    help="Kernels to ask what they would run.",
)
@click.option("--tensors", is_flag=True, help="List every tensor with its quantization.")
def explain(terminal: Terminal, file: str, delegate: str, tensors: bool) -> None:
    """List what FILE holds: operators, dtypes, sizes, quantization, and what would run where.

    FILE is a model file, whoever wrote it, or an artifact's folder.

    \b
      edgekit explain model.tflite
      edgekit explain build/model --tensors
    """
    with bars(terminal, f"reading {file}"):
        import edgekit

        found = edgekit.explain(file, delegate=delegate)
    if terminal.as_json:
        document = found.to_json()
        terminal.emit(document.pop("schema"), document)
        return
    terminal.show(label_table(_facts(found)), "", _operators(found))
    if tensors:
        terminal.show("", _tensors(found))


def _facts(found: Explanation) -> list[tuple[str, str]]:
    from edgekit.plugins import described

    constants = ", ".join(f"{count:,} bytes of {dtype}" for dtype, count in found.constant_bytes.items())
    rows = [
        ("file", f"{found.file}, {found.bytes:,} bytes, {found.format}"),
        ("sha256", found.sha256),
        ("inputs", described(found.inputs)),
        ("outputs", described(found.outputs)),
        ("signatures", ", ".join(found.signatures) or "none"),
        ("operators", ", ".join(f"{count} {name}" for name, count in found.counts.items())),
        ("constants", constants or "none"),
        *found.facts.items(),
    ]
    rows += [("description", found.description)] if found.description else []
    rows += [("metadata", ", ".join(f"{name} ({size:,} bytes)" for name, size in found.metadata.items()))] if found.metadata else []
    return rows + [(finding.kind, finding.text) for finding in found.findings]


def _operators(found: Explanation) -> Any:
    from rich.table import Table

    table = Table("#", "operator", "dtype", "result", "constants", "runs on", "your module", box=None)
    table.columns[0].justify = table.columns[4].justify = "right"
    where = {True: "delegate", False: "cpu", None: "unknown"}
    for op in found.ops:
        results = ", ".join("x".join(map(str, found.tensors[t].shape)) or "scalar" for t in op.outputs)
        table.add_row(str(op.index), op.name, op.dtype, results, f"{op.bytes:,}" if op.bytes else "", where[op.delegated], op.module or "")
    return table


def _tensors(found: Explanation) -> Any:
    from rich.table import Table

    table = Table("#", "tensor", "shape", "dtype", "bytes", "", "quantization", box=None)
    table.columns[0].justify = table.columns[4].justify = "right"
    for t in found.tensors:
        kind = "constant" if t.constant else "variable" if t.variable else ""
        table.add_row(str(t.index), t.name, "x".join(map(str, t.shape)) or "scalar", t.dtype, f"{t.bytes:,}", kind, t.quantization)
    return table
