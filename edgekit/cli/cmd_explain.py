"""`edgekit explain`: what a model file really is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_file
from edgekit.cli.tables import label_table, table

if TYPE_CHECKING:
    from edgekit.conversion import Explanation


@command("explain")
@click.argument("file", shell_complete=complete_file)
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
        terminal.emit_document(found.to_json())
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
    where = {True: "delegate", False: "cpu", None: "unknown"}
    rows = []
    for op in found.ops:
        results = ", ".join(_dims(found.tensors[t].shape) for t in op.outputs)
        constants = f"{op.bytes:,}" if op.bytes else ""
        rows.append((str(op.index), op.name, op.dtype, results, constants, where[op.delegated], op.module or ""))
    return table(("#", "operator", "dtype", "result", "constants", "runs on", "your module"), rows, right=(0, 4))


def _tensors(found: Explanation) -> Any:
    rows = []
    for t in found.tensors:
        kind = "constant" if t.constant else "variable" if t.variable else ""
        rows.append((str(t.index), t.name, _dims(t.shape), t.dtype, f"{t.bytes:,}", kind, t.quantization))
    return table(("#", "tensor", "shape", "dtype", "bytes", "", "quantization"), rows, right=(0, 4))


def _dims(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
