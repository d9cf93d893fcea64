"""`edgekit convert`: a model in, an artifact folder out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_recipe, complete_target
from edgekit.cli.parse import Dim, nested_dims, read_labels
from edgekit.cli.preprocessing import preprocess_options, take_preprocess
from edgekit.cli.process import importing

if TYPE_CHECKING:
    from edgekit.artifact import Artifact

DTYPES = click.Choice(["int8", "uint8", "int16", "float32"])
STARTING = "start Python and import"


@command("convert")
@click.argument("model")
@click.option(
    "--target", "-t", default="android", show_default=True, shell_complete=complete_target, help="Device class, or your own .toml."
)
@click.option("--calibration", "-c", help="Typical inputs: .npz, .npy or a folder of images; 'random' for noise.")
@click.option("--recipe", "-r", shell_complete=complete_recipe, help="A preset or your own .toml; by default the target's.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Folder to make; by default build/MODEL-TARGET.")
@click.option("--input-dtype", type=DTYPES, help="Of the artifact's float inputs; by default the target's.")
@click.option("--output-dtype", type=DTYPES, help="Of the artifact's float outputs; by default the target's.")
@click.option("--samples", type=click.IntRange(1), default=200, show_default=True, help="Calibration samples to use, at most.")
@preprocess_options
@click.option("--labels", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Class labels to embed, one a line.")
@click.option("--description", help="Text to embed.")
@click.option("--dim", "dims", type=Dim(), multiple=True, help="Size of a dynamic dimension, such as input:1=100.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Size of the batch dimension.")
@click.option("--weights", type=click.Path(path_type=Path), help="State dict or .safetensors to load into the module.")
@click.option("--trust", is_flag=True, help="Let code inside the model file run (Lambda layers).")
@click.option("--emitter", type=click.Choice(["edgekit", "vendor"]), default="edgekit", show_default=True, help="Who writes the file.")
@click.option("--accept", multiple=True, help="Accept this kind of concession and refuse all that are not named; repeatable.")
@click.option("--strict", is_flag=True, help="Accept no concession at all.")
@click.option("--force", is_flag=True, help="Replace an artifact that is already there.")
@click.option("--timings", is_flag=True, help="Show where the time went.")
def convert(terminal: Terminal, model: str, **options: Any) -> None:
    """Convert MODEL for a target, and check what was written on its runtime.

    MODEL is a .keras, .h5 or .pt2 file, or FILE.py:CALLABLE or PACKAGE.MODULE:CALLABLE that returns a PyTorch module and its
    example inputs.

    \b
      edgekit convert model.keras --calibration train.npz --out build/model
      edgekit convert net.py:make --weights net.safetensors --calibration images/ --scale 0.00392157

    Whatever could not be done as one might assume is listed as a concession: an operator left in float, a dimension fixed.
    """
    seconds: dict[str, float] = {STARTING: 0.0}
    timings = options.pop("timings")
    with bars(terminal, f"converting {model}"):
        arguments = _arguments(options)
        with importing():
            from edgekit import canonicalize, compress, loading  # noqa: F401 - torch with them, to be counted as starting
            from edgekit.conversion import convert as run

            if model.endswith((".keras", ".h5")):
                from edgekit.loading.keras_import import import_keras

                import_keras()
        seconds[STARTING] = _age()
        artifact = run(model, **arguments, on_step=lambda name, took: seconds.update({name: seconds.get(name, 0.0) + took}))
    seconds["total"] = _age()
    if terminal.as_json:
        _emit(terminal, artifact, seconds)
        return
    terminal.show(*_summary(artifact))
    if timings:
        terminal.show(_timing_table(seconds))


def _arguments(options: dict[str, Any]) -> dict[str, Any]:
    """The command's options as `edgekit.convert` takes them."""
    accept, strict = options.pop("accept"), options.pop("strict")
    replaced = {
        "preprocess": take_preprocess(options),
        "labels": read_labels(options["labels"]),
        "dims": nested_dims(options["dims"]),
        "accept": accept or (() if strict else None),
        "overwrite": options.pop("force"),
    }
    return {**options, **replaced}


def _age() -> float:
    """Seconds since this process began, the interpreter's own start included."""
    import psutil

    return time.time() - float(psutil.Process().create_time())


def _emit(terminal: Terminal, artifact: Artifact, seconds: dict[str, float]) -> None:
    size = artifact.model_file.stat().st_size
    paths = {"path": str(artifact.path), "model_file": str(artifact.model_file), "bytes": size}
    terminal.emit(
        "edgekit.convert/1", {**paths, "seconds": {k: round(v, 4) for k, v in seconds.items()}, "manifest": artifact.manifest.to_json()}
    )


def _summary(artifact: Artifact) -> list[Any]:
    from collections import Counter

    from rich.table import Table
    from rich.text import Text

    from edgekit.plugins import described

    m = artifact.manifest
    table = Table(box=None, show_header=False)
    table.add_row("artifact", str(artifact.path))
    table.add_row("model", f"{artifact.model_file.name}, {artifact.model_file.stat().st_size:,} bytes")
    table.add_row("made for", f"{m.target}, recipe {m.recipe}")
    table.add_row("inputs", described(m.inputs))
    table.add_row("outputs", described(m.outputs))
    table.add_row("operators", ", ".join(f"{count} {name}" for name, count in Counter(op.name for op in m.ops).most_common()))
    concessions = [Text(f"  - {note}") for note in m.notes]
    return [table, *([Text(f"{len(m.notes)} concessions:", "yellow"), *concessions] if concessions else [])]


def _timing_table(seconds: dict[str, float]) -> Any:
    from rich.table import Table

    table = Table("step", "seconds", box=None)
    table.columns[1].justify = "right"
    rest = seconds["total"] - sum(v for k, v in seconds.items() if k != "total")
    for name, value in [*((k, v) for k, v in seconds.items() if k != "total"), ("everything else", rest), ("total", seconds["total"])]:
        table.add_row(name, f"{value:.2f}")
    return table
