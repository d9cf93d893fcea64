"""The options of `edgekit convert` that make a model smaller and train it, and what they ask for."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.complete import complete_file
from edgekit.cli.parse import Budget, Names, Share
from edgekit.cli.section import F, option, section

if TYPE_CHECKING:
    from edgekit.artifact import Artifact
    from edgekit.errors import GateFailed
    from edgekit.gains import Gains
    from edgekit.graph import Graph
    from edgekit.recipe import Recipe

NOBODY = "none"
_FUNCTION = "FILE.py:FUNCTION"
_LEFT = "a share such as 0.5 or 50%, or a number such as 3M"

_pruning_options = section(
    "Pruning to a budget",
    option("--macs", type=Budget(), help=f"Remove channels until so many multiply-accumulates are left: {_LEFT}."),
    option("--params", "parameters", type=Budget(), help=f"Remove channels until so many parameters are left: {_LEFT}."),
    option("--bytes", type=Share(), help="Remove channels until this share of the weights' bytes is left, such as 0.5 or 50%."),
    option("--fit", is_flag=True, help="Remove as few channels as it takes to fit the target's flash and RAM."),
    option("--keep", multiple=True, metavar="MODULE", help="Remove no channels of what this module, or glob, writes; repeatable."),
    option(
        "--rounds",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Remove channels in so many rounds, with training after each.",
    ),
    option("--unpruned", type=click.Path(path_type=Path), help="Folder to keep what gains are measured against in."),
    option("--no-measure", is_flag=True, help="Do not measure what pruning gained: no_measured_gain is then set."),
    option("--require-gain", is_flag=True, help="Exit with 1 if nothing measured says that pruning made the model faster."),
)
_LESSONS = (
    option(
        "--recover",
        "training",
        metavar="DATA",
        shell_complete=complete_file,
        help="Training data, labelled or not, to train back what is lost: .npz, or a folder.",
    ),
    option(
        "--validation",
        metavar="DATA",
        shell_complete=complete_file,
        help="Data that tell which epoch was best; by default a tenth of --recover's.",
    ),
    option(
        "--teacher",
        metavar="MODEL",
        help="Whose answers are imitated: 'self' for MODEL as it was (the default), another model, or 'none' for labels alone.",
    ),
    option("--checkpoints", type=click.Path(path_type=Path), help="Folder to keep training in: an interrupted one goes on there."),
    option("--loss", metavar=_FUNCTION, help="What training minimizes: loss(outputs, labels) -> scalar tensor; labels of any shape."),
    option("--training-metric", metavar=_FUNCTION, help="What tells the best epoch: metric(outputs, labels) -> number, larger is better."),
)
_training_options = section(
    "Training what is left",
    *_LESSONS,
    option("--epochs", type=click.IntRange(1), help="Times the training data are used."),
    option("--seconds", type=click.FloatRange(0, min_open=True), help="Time training may take."),
    option("--augment", type=Names(), help="Changes to training images: flip, shift, mixup; separated by commas."),
)
lesson_options = section("Training again, where the recipe trains", *_LESSONS)
"""The options for a recipe that is there; `take_lessons` takes them out of a command's parameters."""
_PRUNING = ("macs", "parameters", "bytes")
_TRAINING = ("epochs", "seconds", "augment")
_DATA = ("training", "validation", "teacher", "checkpoints", "loss", "training_metric")


def shrinking_options(function: F) -> F:
    """Add the options; `Shrinking.taken` takes them out of a command's parameters."""
    return _pruning_options(_training_options(function))


def take_lessons(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `edgekit.convert` that say what to learn from; a teacher that is nobody stays in, as `NOBODY`."""
    return {name: value for name in _DATA if (value := options.pop(name)) is not None}


@dataclass(frozen=True)
class Shrinking:
    """What the options ask for.

    Attributes:
        pruning: A budget of ``prune_channels``, or None.
        keep: What channels are not removed of.
        fit: Whether the budget is what fits the target's memories.
        training: Options of ``fine_tune``, or None without data to train on.
        rounds: In how many rounds channels go.
        data: Arguments of `edgekit.convert` for training: data, teacher, checkpoints.
        unpruned: Folder to keep the unpruned model in, or None for one that is removed.
        measure: Whether gains are measured.
        required: Whether one must be.
    """

    pruning: dict[str, float] | None
    keep: tuple[str, ...]
    fit: bool
    training: dict[str, Any] | None
    rounds: int
    data: dict[str, Any]
    unpruned: Path | None
    measure: bool
    required: bool

    @classmethod
    def taken(cls, options: dict[str, Any]) -> Shrinking:
        """Take these options out of a command's parameters.

        Raises:
            UsageError: One that means nothing without another.
        """
        keep, rounds = options.pop("keep"), options.pop("rounds")
        pruning = {name: value for name in _PRUNING if (value := options.pop(name)) is not None}
        training = {name: value for name in _TRAINING if (value := options.pop(name)) is not None}
        data = take_lessons(options)
        fit, no_measure, required = options.pop("fit"), options.pop("no_measure"), options.pop("require_gain")
        if fit and pruning:
            raise click.UsageError("--fit finds the budget itself: leave out --macs, --params and --bytes.")
        if fit and rounds > 1:
            raise click.UsageError("--fit is for one round: what later rounds would remove depends on the training between.")
        if keep and not pruning and not fit:
            raise click.UsageError("--keep is for --macs, --params, --bytes or --fit.")
        if "training" not in data and (lonely := [*training, *data]):
            raise click.UsageError(f"--{lonely[0].replace('_', '-')} is for training: name the data with --recover.")
        if required and no_measure:
            raise click.UsageError("--require-gain needs what --no-measure leaves out.")
        if data.get("teacher") == NOBODY:
            del data["teacher"]
            if "loss" not in data:
                training["losses"] = {"labels": 1.0}
        if "training_metric" in data:
            data["metric"] = data.pop("training_metric")
        return cls(
            pruning=pruning or None,
            keep=keep,
            fit=fit,
            training=training if data else None,
            rounds=rounds,
            data=data,
            unpruned=options.pop("unpruned"),
            measure=not no_measure,
            required=required,
        )

    def recipe(self, target: str, chosen: str | None) -> Recipe:
        """The recipe for a target, with what the options add to it.

        Args:
            target: Its name or path.
            chosen: The recipe that the user named, or None.
        """
        from edgekit.compress.shrinking import shrunk, target_recipe
        from edgekit.recipes import load_recipe
        from edgekit.targets import load_target

        # Data to train on ask for a target's own way to use them; a budget says what to do with them instead.
        trained = self.training is not None and self.pruning is None
        recipe = load_recipe(chosen) if chosen is not None else target_recipe(load_target(target), trained=trained)
        pruning = None if self.pruning is None else {**self.pruning, "keep": self.keep}
        return shrunk(recipe, pruning, self.training, rounds=self.rounds)

    def fits(self, target: str) -> bool:
        """Whether the budget is what fits the target: where ``--fit`` asks, or its memories are small and data can recover it."""
        from edgekit.targets import load_target

        device = load_target(target)
        limited = device.flash_bytes is not None or device.ram_bytes is not None
        return self.fit or (limited and self.training is not None and self.pruning is None)

    def fitted(self, model: Graph, target: str, chosen: str | None, arguments: dict[str, Any]) -> Shrinking:
        """The same with the budget that fits the target's memories; with none, if the model fits as it is.

        Args:
            model: Loaded.
            target: Its name or path.
            chosen: The recipe that the user named, or None.
            arguments: Of `edgekit.convert`.
        """
        from edgekit.conversion.fitting import budget_that_fits
        from edgekit.conversion.resolve import FileOptions
        from edgekit.recipes import load_recipe
        from edgekit.targets import load_target

        if arguments["calibration"] is None and self.training is not None:
            raise click.UsageError("name --calibration data too: what fits depends on which channels go, and they tell.")
        device = load_target(target)
        recipe = load_recipe(chosen if chosen is not None else device.recipe).without("fine_tune")
        how = {name: value for name, value in arguments.items() if name in {*FileOptions.__optional_keys__, "preprocess", "calibration"}}
        budget = budget_that_fits(model, device, recipe, {"keep": self.keep}, **how)
        if not budget and self.fit:  # nothing is lost, so there is nothing to recover
            return replace(self, training=None, rounds=1, data={})
        return replace(self, pruning=budget or None)

    @contextmanager
    def beside(self, *recipes: Recipe) -> Iterator[Path | None]:
        """Yield the folder for what is converted unpruned, for the block if the user named none; None if there is nothing to measure."""
        from edgekit.conversion.removing import prunes

        pruned = any(prunes(recipe) for recipe in recipes)
        if self.required and not pruned:
            raise click.UsageError("--require-gain is for recipes that prune; --macs 0.5 makes one.")
        if self.unpruned is not None or not (pruned and self.measure):
            yield self.unpruned
            return
        with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
            yield Path(scratch) / "unpruned"

    def measured(self, artifact: Artifact, unpruned: Path | None, note: Callable[[str, float], None]) -> Artifact:
        """The artifact with what was measured, if something is to be; `note` is told how long that took."""
        if unpruned is None or not self.measure or artifact.manifest.gains is None:
            return artifact
        from edgekit.profiling import measure_gains

        start = time.perf_counter()
        measured = measure_gains(artifact, unpruned)
        note("measure gains", time.perf_counter() - start)
        return measured

    def gate(self, artifact: Artifact) -> GateFailed | None:
        """What to fail with: a gain is required and the record says that none was measured."""
        from edgekit.errors import GateFailed
        from edgekit.profiling import gain_rows

        found = gains_of(artifact)
        if not self.required or found is None or not found.no_measured_gain:
            return None
        why = gain_rows(found)[-1][1]
        return GateFailed(f"no measured gain for {artifact.manifest.target}: {why}", next_step="prune more, or otherwise")


def gains_of(artifact: Artifact) -> Gains | None:
    """What pruning gained, or None for a recipe that prunes nothing."""
    from edgekit.gains import Gains

    return None if artifact.manifest.gains is None else Gains.from_json(artifact.manifest.gains)
