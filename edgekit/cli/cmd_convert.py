"""`edgekit convert`: a model in, an artifact folder out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_file, complete_recipe, complete_target
from edgekit.cli.converting import age, artifact_data, convert_several, gained, listed
from edgekit.cli.parse import Dim, Names, Sizes, by_target, nested_dims, read_labels
from edgekit.cli.preprocessing import preprocess_options, take_preprocess
from edgekit.cli.process import importing
from edgekit.cli.section import option, section
from edgekit.cli.shrinking import Shrinking, shrinking_options
from edgekit.cli.sources import TRUST, WEIGHTS
from edgekit.cli.tables import label_table, table

if TYPE_CHECKING:
    from edgekit.artifact import Artifact
    from edgekit.graph import Graph

DTYPES = click.Choice(["int8", "uint8", "int16", "float16", "float32"])
STARTING = "start Python and import"


@command("convert")
@click.argument("model", shell_complete=complete_file)
@section(
    "What to make",
    option(
        "--target",
        "-t",
        "targets",
        type=Names(),
        multiple=True,
        default=("android",),
        show_default=True,
        shell_complete=complete_target,
        help="Device class, or your own .toml; several, separated by commas, are converted side by side.",
    ),
    option(
        "--recipe",
        "-r",
        "recipes",
        multiple=True,
        metavar="[TARGET=]RECIPE",
        shell_complete=complete_recipe,
        help="A preset or your own .toml; by default the target's. TARGET=RECIPE for one of several targets; repeatable.",
    ),
    option(
        "--calibration",
        "-c",
        shell_complete=complete_file,
        help="Typical inputs: .npz, .npy or a folder of images; 'random' for noise.",
    ),
    option("--samples", type=click.IntRange(1), default=200, show_default=True, help="Calibration samples to use, at most."),
    option(
        "--out",
        "-o",
        type=click.Path(path_type=Path),
        help="Folder to make; by default build/MODEL-TARGET. With several targets, the folder to make a folder for each in.",
    ),
    option("--force", is_flag=True, help="Replace an artifact that is already there."),
    option("--accept", multiple=True, help="Accept this kind of concession and refuse all that are not named; repeatable."),
    option("--strict", is_flag=True, help="Accept no concession at all."),
)
@section(
    "The model's inputs, sizes and weights",
    option(
        "--dim",
        "dims",
        type=Dim(),
        multiple=True,
        help="Size of a dynamic dimension, input:1=100; or a range the file leaves open, input:1=16..128.",
    ),
    option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Size of the batch dimension."),
    option("--batches", type=Sizes(), help="Smallest, usual and largest batch of a file that takes any between (jetson)."),
    option("--input-dtype", type=DTYPES, help="Of the artifact's float inputs; by default the target's."),
    option("--output-dtype", type=DTYPES, help="Of the artifact's float outputs; by default the target's."),
    WEIGHTS,
    TRUST,
)
@preprocess_options
@shrinking_options
@section(
    "For the application",
    option("--labels", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Class labels to embed, one a line."),
    option("--description", help="Text to embed."),
    option("--author", help="Who made the model, to embed."),
    option("--licence", help="Under which terms it may be used, to embed."),
    option("--model-version", "version", help="The model's own version, to embed."),
    option("--images", is_flag=True, help="Inputs take pictures: --scale, --mean and --std move into the file (ios)."),
)
@section(
    "The device's software",
    option("--ios", type=click.Choice(["16", "17", "18"]), help="Oldest iOS to run on; by default the target's."),
    option("--tensorrt", type=click.Choice(["10.3", "10.7", "10.13", "11.0"]), help="Oldest TensorRT to build with (jetson)."),
    option("--compute", type=click.Choice(["float16", "float32"]), help="Precision of float operators; by default the target's."),
    option("--emitter", type=click.Choice(["edgekit", "vendor"]), default="edgekit", show_default=True, help="Who writes the file."),
)
@click.option("--jobs", "-j", type=click.IntRange(1), help="Targets converted at a time; by default twice as many as there are CPUs.")
@click.option("--timings", is_flag=True, help="Show where the time went.")
def convert(terminal: Terminal, model: str, **options: Any) -> int:
    """Convert MODEL for one target or several, and check what was written on its runtime.

    MODEL is a .keras, .h5 or .pt2 file, or FILE.py:CALLABLE or PACKAGE.MODULE:CALLABLE that returns a PyTorch module and its
    example inputs, or a Keras model.

    \b
      edgekit convert model.keras --calibration train.npz --out build/model
      edgekit convert net.py:make --weights net.safetensors --calibration images/ --scale 0.00392157
      edgekit convert model.keras --target android,ios,jetson,mnn --calibration train.npz
      edgekit convert model.keras --macs 0.5 --recover train.npz --seconds 600

    With several targets the model is loaded once. One that fails does not lose the others; the exit code is that of the first error.

    Whatever could not be done as one might assume is listed as a concession: an operator left in float, a dimension fixed.
    """
    seconds: dict[str, float] = {STARTING: 0.0}
    timings, jobs, shrinking = options.pop("timings"), options.pop("jobs"), Shrinking.taken(options)
    targets = tuple(name for names in options.pop("targets") for name in names)
    recipes = by_target(options.pop("recipes"), targets)
    if len(targets) != 1:
        arguments = _arguments(options) | {"recipe": recipes, "jobs": jobs}
        return convert_several(terminal, model, targets, arguments, shrinking, timings=timings)
    chosen = _only(recipes, targets[0])

    def note(step: str, took: float) -> None:
        seconds[step] = seconds.get(step, 0.0) + took

    with bars(terminal, f"converting {model}"):
        arguments = _arguments(options)
        with importing():
            from edgekit import canonicalize, compress, loading  # noqa: F401 - torch with them, to be counted as starting
            from edgekit.conversion import convert as run

            if model.endswith((".keras", ".h5")):
                from edgekit.loading.keras_import import import_keras

                import_keras()
        seconds[STARTING] = age()
        source: Any = model
        if shrinking.fits(targets[0]):
            source, arguments["out"] = _loaded(model, targets[0], arguments)
            shrinking = shrinking.fitted(source, targets[0], chosen, arguments)
            note("fit", age() - seconds[STARTING])
        recipe = shrinking.recipe(targets[0], chosen)
        arguments |= {"target": targets[0], "recipe": recipe} | shrinking.data
        with shrinking.beside(recipe) as unpruned:
            artifact = run(source, **arguments, unpruned=unpruned, on_step=note)
            artifact = shrinking.measured(artifact, unpruned, note)
    seconds["total"] = age()
    if terminal.as_json:
        terminal.emit("edgekit.convert/1", {"seconds": {k: round(v, 4) for k, v in seconds.items()}} | artifact_data(artifact))
        return int(shrinking.gate(artifact) is not None)
    terminal.show(*_summary(artifact))
    if timings:
        terminal.show(_timing_table(seconds))
    if failed := shrinking.gate(artifact):
        raise failed
    return 0


def _loaded(model: str, target: str, arguments: dict[str, Any]) -> tuple[Graph, Path]:
    """The model, to be converted more than once, and where its artifact goes."""
    from edgekit.conversion.pipeline import default_folder, loaded
    from edgekit.targets import load_target

    options = {name: arguments[name] for name in ("dims", "batch", "weights", "trust")}
    return loaded(model, None, **options), arguments["out"] or default_folder(model, load_target(target).name)


def _only(recipes: dict[str, str], target: str) -> str | None:
    """The recipe of the only target; None for its default."""
    if other := [name for name in recipes if name != target]:
        raise click.UsageError(f"--recipe names target {other[0]!r}, and --target does not.")
    return recipes.get(target)


def _arguments(options: dict[str, Any]) -> dict[str, Any]:
    """The command's options as `edgekit.convert` takes them."""
    accept, strict = options.pop("accept"), options.pop("strict")
    versions = {name: version for name in ("ios", "tensorrt") if (version := options.pop(name))}
    replaced = {
        "versions": versions or None,
        "preprocess": take_preprocess(options),
        "labels": read_labels(options["labels"]),
        "dims": nested_dims(options["dims"]),
        "accept": accept or (() if strict else None),
        "overwrite": options.pop("force"),
    }
    return {**options, **replaced}


def _summary(artifact: Artifact) -> list[Any]:
    from collections import Counter

    from edgekit.plugins import described

    m = artifact.manifest
    rows = [
        ("artifact", str(artifact.path)),
        ("model", f"{artifact.model_file.name}, {artifact.model_bytes:,} bytes"),
        ("made for", f"{m.target}, recipe {m.recipe}"),
        ("inputs", described(m.inputs)),
        ("outputs", described(m.outputs)),
        ("operators", ", ".join(f"{count} {name}" for name, count in Counter(op.name for op in m.ops).most_common())),
        *gained(artifact),
    ]
    return [label_table(rows), *listed(m.notes)]


def _timing_table(seconds: dict[str, float]) -> Any:
    rest = seconds["total"] - sum(v for k, v in seconds.items() if k != "total")
    steps = {**{k: v for k, v in seconds.items() if k != "total"}, "everything else": rest, "total": seconds["total"]}
    return table(("step", "seconds"), ((name, f"{value:.2f}") for name, value in steps.items()), right=(1,))
