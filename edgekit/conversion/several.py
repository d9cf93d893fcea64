"""One model for several targets: loaded once, converted side by side."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import progress
from edgekit.arguments import check_known
from edgekit.artifact import Artifact
from edgekit.conversion.concessions import ConversionWarning
from edgekit.conversion.packing import packed, unpacked
from edgekit.conversion.pipeline import CALIBRATION_SAMPLES, OPTIONS, RANDOM, convert, default_folder, loaded
from edgekit.conversion.removing import prunes
from edgekit.conversion.steps import Steps
from edgekit.data import Samples, read_samples
from edgekit.errors import EdgekitError, UsageError
from edgekit.nursery import Ended, Job, Nursery, Progressed
from edgekit.preprocess import Preprocess
from edgekit.recipe import Recipe
from edgekit.recipes import load_recipe
from edgekit.targets import load_target

Recipes = str | Path | Recipe | Mapping[str, str | Path | Recipe] | None
OnStep = Callable[[str, str, float], None]
"""Called with a target's name (empty for what is done for all), a step's name and its seconds."""

PRELOADED = (
    "edgekit.conversion.several", "edgekit.conversion.lowering", "edgekit.conversion.tolerance", "edgekit.graphfile",
    "edgekit.compress.equalize", "edgekit.compress.quantize", "edgekit.compress.bias_correction",
)  # fmt: skip
"""What every conversion needs: torch, and what edgekit does with it."""
GRAPH = "graph.safetensors"


@dataclass(frozen=True)
class Outcome:
    """What became of one target.

    Attributes:
        target: Its name.
        artifact: What was made, or None.
        error: Why nothing was, or None.
        seconds: Of each step, in order.
    """

    target: str
    artifact: Artifact | None = None
    error: EdgekitError | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Conversions:
    """What became of all targets, in the order they were asked for."""

    outcomes: tuple[Outcome, ...]

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """By target, those that were made."""
        return {o.target: o.artifact for o in self.outcomes if o.artifact is not None}

    @property
    def errors(self) -> dict[str, EdgekitError]:
        """By target, why the others were not."""
        return {o.target: o.error for o in self.outcomes if o.error is not None}

    def require(self) -> dict[str, Artifact]:
        """`artifacts`, if there are no errors.

        Raises:
            EdgekitError: The first error.
        """
        for error in self.errors.values():
            raise error
        return self.artifacts


def convert_all(
    model: Any,
    targets: Sequence[str | Path],
    *,
    example_inputs: Any = None,
    calibration: Any = None,
    recipe: Recipes = None,
    out: str | Path | None = None,
    preprocess: Preprocess | Mapping[str, Preprocess] | None = None,
    dims: Any = None,
    batch: int = 1,
    weights: str | Path | None = None,
    trust: bool = False,
    samples: int = CALIBRATION_SAMPLES,
    unpruned: str | Path | None = None,
    jobs: int | None = None,
    on_step: OnStep | None = None,
    nursery: Nursery | None = None,
    **options: Any,
) -> Conversions:
    """Convert a model for several targets at once.

    The model is loaded, canonicalized and its data read once; then each target has a process of its own. What one target
    cannot have does not keep the others from theirs.

    Args:
        model: As `edgekit.convert` takes it.
        targets: Names, or paths to your own ``.toml``.
        example_inputs: As in `edgekit.convert`, like all that is not explained here.
        calibration: The same.
        recipe: For all targets, or by target's name; None, or a target not named, for the target's default.
        out: The folder to make a folder a target in; None for ``build/<model>-<target>`` each.
        preprocess: As in `edgekit.convert`.
        dims: The same.
        batch: The same.
        weights: The same.
        trust: The same.
        samples: The same.
        unpruned: The folder to make a folder a target in, of those whose recipe prunes: as in `edgekit.convert`.
        jobs: Targets converted at a time; None for twice the CPUs, since a conversion waits for its checks half of the time.
        on_step: Told the target, the name and the seconds of each step.
        nursery: One of `workers` that was started earlier; None starts one.
        **options: Further arguments of `edgekit.convert`, for all targets; `images`, `compute`, `batches` and `versions` for those
            that have such.

    Returns:
        An outcome a target, each an artifact or an error.

    Raises:
        UsageError: A target or a recipe does not exist or is named twice; the model or the data cannot be used.
    """
    check_known(options, OPTIONS)
    chosen = _chosen(targets)
    recipes = _recipes(recipe, chosen)
    with (
        nullcontext(nursery) if nursery is not None else workers(len(chosen)) as hatched,
        tempfile.TemporaryDirectory(prefix="edgekit-") as scratch,
    ):
        start = time.perf_counter()
        progress.report("load", 0)
        graph = loaded(model, example_inputs, dims=dims, batch=batch, weights=weights, trust=trust)
        given = _read(calibration, graph, preprocess, samples)
        _hand_over(graph, given, Path(scratch))
        if on_step is not None:
            on_step("", "load", time.perf_counter() - start)
        folders = {name: Path(out) / name if out is not None else default_folder(model, name) for name in chosen}
        shared = options | {"preprocess": preprocess, "batch": batch, "samples": samples}
        if given is None:
            shared["calibration"] = calibration  # none, or noise
        fitting = _fitting(shared, chosen)
        own = {n: {"target": target, "out": folders[n], "recipe": recipes[n], **fitting[n]} for n, target in chosen.items()}
        for name in own:
            own[name] |= _own_folders(name, recipes[name], unpruned, options.get("checkpoints"))
        work = [Job(name, f"{__name__}:conversion", {"shared": scratch, "options": packed(shared | own[name])}) for name in chosen]
        outcomes = {o.target: o for o in _outcomes(hatched.run(work, jobs or 2 * _cpus()), folders, on_step)}
    return Conversions(tuple(outcomes[name] for name in chosen))


def workers(targets: int) -> Nursery:
    """What makes a process for each of so many targets. It begins at once to import what they need: start it before importing torch."""
    return Nursery(*PRELOADED, environment=_share_of(targets))


def _chosen(targets: Sequence[str | Path]) -> dict[str, str | Path]:
    """The targets as they were given, by name."""
    chosen: dict[str, str | Path] = {}
    for given in targets:
        name = load_target(given).name
        if name in chosen:
            raise UsageError(f"target {name!r} is named twice", accepted="each target once")
        chosen[name] = given if not str(given).endswith(".toml") else Path(given).absolute()
    if not chosen:
        raise UsageError("no target is named", next_step="edgekit targets")
    return chosen


def _fitting(options: Mapping[str, Any], targets: Mapping[str, str | Path]) -> dict[str, dict[str, Any]]:
    """By target, the options that mean something to some targets only; one that means nothing to any is left for all, to be refused."""
    known = {name: load_target(target) for name, target in targets.items()}
    images, compute, versions = options.get("images") or False, options.get("compute"), options.get("versions") or {}
    opens = {name for name, t in known.items() if t.open_batch} or set(known)
    takes_images = {name for name, t in known.items() if t.images} or set(known)
    computes = {name for name, t in known.items() if compute in t.compute} or set(known)
    having = {o: {n for n, t in known.items() if t.platform is not None and t.platform.option == o} or set(known) for o in versions}
    return {
        name: {
            "images": images if name in takes_images else False,
            "compute": compute if name in computes else None,
            "batches": options.get("batches") if name in opens else None,
            "versions": {option: version for option, version in versions.items() if name in having[option]},
        }
        for name in known
    }


def _own_folders(name: str, recipe: Recipe | None, unpruned: str | Path | None, checkpoints: str | Path | None) -> dict[str, Path]:
    """Folders inside those that were given for all targets."""
    found = {} if checkpoints is None else {"checkpoints": Path(checkpoints) / name}
    return found | ({} if unpruned is None or recipe is None or not prunes(recipe) else {"unpruned": Path(unpruned) / name})


def _recipes(recipe: Recipes, targets: Mapping[str, Any]) -> dict[str, Recipe | None]:
    """The recipe of each target; None for its default."""
    if recipe is None:
        return dict.fromkeys(targets)
    if not isinstance(recipe, Mapping):
        return dict.fromkeys(targets, load_recipe(recipe))
    if unknown := set(recipe) - set(targets):
        raise UsageError(f"a recipe is given for {sorted(unknown)}", accepted=list(targets), next_step="name the target too")
    return {name: load_recipe(recipe[name]) if name in recipe else None for name in targets}


def _read(calibration: Any, graph: Any, preprocess: Any, limit: int) -> Samples | None:
    if calibration is None or (isinstance(calibration, str) and calibration == RANDOM):
        return None
    return read_samples(calibration, graph.inputs, preprocess, limit=limit, free=True)


def _hand_over(graph: Any, samples: Samples | None, folder: Path) -> None:
    """Write what all targets need: read there without copying."""
    from edgekit.graphfile import save_graph  # noqa: PLC0415 - torch is there where a graph is

    save_graph(graph, folder / GRAPH)
    for position, spec in enumerate(graph.inputs):
        if samples is not None:
            np.save(folder / f"{position}.npy", samples.inputs[spec.name], allow_pickle=False)


def _taken_over(folder: Path) -> tuple[Any, Samples | None]:
    from edgekit.graphfile import load_graph  # noqa: PLC0415

    graph = load_graph(folder / GRAPH)
    if not (folder / "0.npy").exists():
        return graph, None
    return graph, Samples({s.name: np.load(folder / f"{i}.npy", mmap_mode="c", allow_pickle=False) for i, s in enumerate(graph.inputs)})


def _outcomes(events: Iterator[Progressed | Ended], folders: Mapping[str, Path], on_step: OnStep | None) -> Iterator[Outcome]:
    for event in events:
        if isinstance(event, Progressed):
            progress.report(f"{event.key}{progress.OF}{event.title}", event.done, event.total)
            continue
        outcome = _outcome(event, folders[event.key])
        progress.report(f"{event.key}{progress.OF}{'done' if outcome.error is None else 'failed'}", 1, 1)
        for step, seconds in outcome.seconds.items():
            if on_step is not None:
                on_step(event.key, step, seconds)
        yield outcome


def _outcome(event: Ended, folder: Path) -> Outcome:
    if event.value is None:
        return Outcome(event.key, error=event.error)
    for text in event.value["warnings"]:
        warnings.warn(f"{event.key}: {text}", ConversionWarning, stacklevel=4)
    try:
        return Outcome(event.key, Artifact.load(folder), seconds=event.value["seconds"])
    except EdgekitError as error:
        return Outcome(event.key, error=error, seconds=event.value["seconds"])


def conversion(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Convert for one target, in a worker."""
    graph, samples = _taken_over(Path(arguments["shared"]))
    options, steps = unpacked(arguments["options"]), Steps()
    calibration = options.pop("calibration", None) if samples is None else samples
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConversionWarning)
        convert(graph, calibration=calibration, on_step=steps.add, **options)
    told = [str(w.message) for w in caught if issubclass(w.category, ConversionWarning)]
    return {"seconds": steps.seconds, "warnings": told}, {}


def _share_of(targets: int) -> dict[str, str]:
    """How many threads each of several conversions may use, in the word that every library obeys. Waiting threads must not spin."""
    threads = max(1, _cpus() // targets)
    return {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
