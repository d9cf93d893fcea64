"""What is debugged: an artifact with its float model, its recipe and data to look at it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from edgekit.arguments import check_known
from edgekit.artifact import Artifact
from edgekit.compress.roundings import without_roundings
from edgekit.conversion.images import Picture, from_pixels, pixel_samples, value_samples
from edgekit.conversion.lessons import TRAINS, Lessons, check_taught
from edgekit.conversion.pipeline import CALIBRATION_SAMPLES, LOWER, stages
from edgekit.conversion.steps import Steps
from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.preprocess import Preprocess
from edgekit.recipe import Recipe
from edgekit.targets import Target, load_target
from edgekit.verification.reading import Reading, ReadingOptions
from edgekit.verification.reference import pictures_of

if TYPE_CHECKING:
    from edgekit.graph import Graph


class LookingOptions(ReadingOptions, total=False):
    """What `edgekit.debug` and `edgekit.fix` have in common.

    Attributes:
        calibration: What the artifact was calibrated on, which makes the same grids; None for a part of the data.
        target: Where the artifact's is no built-in one, its ``.toml``.
        training: For a recipe that trains, what it was trained on: a look trains again.
        validation: As given to `edgekit.convert`, like the next ones.
        teacher: The same.
        checkpoints: Folder for the state of trainings: one that is over is not done again.
        loss: As given to `edgekit.convert`.
        training_metric: The ``metric`` given to `edgekit.convert`, which told the best epoch.
    """

    calibration: Any
    target: str | Path | Target | None
    training: Any
    validation: Any
    teacher: Any
    checkpoints: str | Path | None
    loss: str | Callable[..., Any] | None
    training_metric: str | Callable[..., Any] | None


@dataclass(frozen=True)
class Subject:
    """An artifact and what its conversion knew.

    Attributes:
        artifact: The artifact.
        model: The float model, canonical, with the inputs it was converted with.
        recipe: The artifact's.
        target: The device class it was made for.
        data: To measure on, as the artifact's file takes them.
        calibration: What passes are calibrated on, as the model takes them.
        lessons: What passes that train learn from, as the model takes them.
        pictures: Inputs whose preprocessing moved into the file, which takes pixels there.
        reading: How data are read, and what runs the file.
        notes: For the reader.
    """

    artifact: Artifact
    model: Graph
    recipe: Recipe
    target: Target
    data: Samples
    calibration: Samples
    lessons: Lessons = field(default_factory=Lessons)
    pictures: tuple[Picture, ...] = ()
    reading: Reading = field(default_factory=Reading)
    notes: tuple[str, ...] = ()

    @cached_property
    def graph(self) -> Graph:
        """The float model with the inputs of the artifact's file."""
        return from_pixels(self.model, self.pictures) if self.pictures else self.model

    @property
    def trains(self) -> bool:
        """Whether the recipe does."""
        return any(step.name == TRAINS for step in self.recipe.passes)

    @property
    def preprocess(self) -> Mapping[str, Preprocess] | None:
        """What was declared of the model's inputs, by name."""
        manifest = self.artifact.manifest
        steps = {**(manifest.preprocess or {}), **(manifest.images or {})}
        return {name: Preprocess.from_json(step) for name, step in steps.items()} or None

    def stages(self, recipe: Recipe | None = None) -> tuple[Graph, Graph]:
        """The lowered graph before what the recipe rounds, and the graph after all of its passes.

        What a training changed on rounded weights belongs to no layer: the one before is then the trained graph without its roundings.

        Args:
            recipe: Another than the artifact's.
        """
        calibration, lessons = self.calibration, self.lessons
        if self.pictures:
            calibration, lessons = pixel_samples(calibration, self.pictures), lessons.with_pictures(self.pictures)
        context = lessons.context(self.target, self.graph, calibration)
        exact = final = self.graph
        lowered = False
        for name, after in stages(self.graph, recipe or self.recipe, context, Steps()):
            lowered |= name == LOWER
            if name == LOWER or (lowered and name == TRAINS):
                exact = without_roundings(after)
            final = after
        return exact, final


def opened(
    artifact: Artifact | str | Path,
    model: Any,
    *,
    data: Any,
    free: bool = True,
    calibration: Any = None,
    target: str | Path | Target | None = None,
    training: Any = None,
    validation: Any = None,
    teacher: Any = None,
    checkpoints: str | Path | None = None,
    loss: str | Callable[..., Any] | None = None,
    training_metric: str | Callable[..., Any] | None = None,
    **how: Unpack[ReadingOptions],
) -> Subject:
    """Load everything. Arguments are those of `edgekit.debug` and `LookingOptions`; labels of data that are not `free` are class indices.

    Raises:
        UsageError: The float model is not at hand.
        DataError: The data do not fit; or the recipe trains, and there are no data for it.
    """
    check_known(how, ReadingOptions.__optional_keys__)
    reading = Reading(**how)
    found = artifact if isinstance(artifact, Artifact) else Artifact.load(artifact)
    recipe = Recipe.from_toml(found.recipe_text)
    check_taught(recipe, training)
    given = reading.data(found, data, reading.samples, free=free)
    graph, notes = reading.graph(found, model, resizable=True)
    if graph is None:
        raise UsageError(
            f"the float model {found.manifest.source.name!r} is not at hand",
            accepted="the model, as edgekit convert takes it",
            next_step="pass model=..., on the command line --model",
        )
    if calibration is None:
        used = given.spread(CALIBRATION_SAMPLES)
        notes = (*notes, "grids were calibrated on the data given; give --calibration what the artifact was calibrated on")
    else:
        used = reading.data(found, calibration, CALIBRATION_SAMPLES, free=True)
    pictures = pictures_of(found, graph)

    taught_freely = loss is not None or training_metric is not None

    def learnt(other: Any) -> Samples | None:
        return None if other is None else value_samples(reading.data(found, other, free=taught_freely), pictures)

    return Subject(
        artifact=found,
        model=graph,
        recipe=recipe,
        target=_target(found, target),
        data=given,
        calibration=value_samples(used, pictures),
        lessons=Lessons.read(
            graph,
            None,
            training=learnt(training),
            validation=learnt(validation),
            teacher=teacher,
            checkpoints=checkpoints,
            loss=loss,
            metric=training_metric,
            trust=reading.trust,
        ),
        pictures=pictures,
        reading=reading,
        notes=notes,
    )


def _target(artifact: Artifact, given: str | Path | Target | None) -> Target:
    """The artifact's, at the version of its platform that it needs."""
    target = given if isinstance(given, Target) else load_target(given or artifact.manifest.target)
    if target.name != artifact.manifest.target:
        raise UsageError(f"the artifact was made for {artifact.manifest.target!r}, not for {target.name!r}")
    platform = target.platform
    version = artifact.manifest.requires.get(platform.name) if platform is not None else None
    return target if platform is None or version not in platform.versions else target.at(str(version))
