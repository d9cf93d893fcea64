"""What is debugged: an artifact with its float model, its recipe and data to look at it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.artifact import Artifact
from edgekit.conversion.pipeline import CALIBRATION_SAMPLES, LOWER, stages
from edgekit.conversion.steps import Steps
from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.preprocess import Preprocess
from edgekit.recipe import Context, Recipe
from edgekit.targets import Target, load_target
from edgekit.verification.reference import reference_graph
from edgekit.verification.verifying import read_data, same_interface, with_pictures

if TYPE_CHECKING:
    from edgekit.graph import Graph

TRAINING = ("fine_tune",)
"""Passes that are not done again for a look: they take as long as the first time."""


@dataclass(frozen=True)
class Subject:
    """An artifact and what its conversion knew.

    Attributes:
        artifact: The artifact.
        graph: The float model, canonical.
        recipe: The artifact's.
        target: The device class it was made for.
        data: To measure on.
        calibration: What passes are calibrated on.
        notes: For the reader.
    """

    artifact: Artifact
    graph: Graph
    recipe: Recipe
    target: Target
    data: Samples
    calibration: Samples
    notes: tuple[str, ...] = ()

    def stages(self, recipe: Recipe | None = None) -> tuple[Graph, Graph]:
        """The lowered graph before the recipe's passes on it, and the graph after all of them.

        Args:
            recipe: Another than the artifact's.
        """
        context = Context(self.target.rules, self.calibration, alignment=self.target.channel_alignment)
        exact = final = self.graph
        for name, after in stages(self.graph, recipe or self.recipe, context, Steps()):
            exact = after if name == LOWER else exact
            final = after
        return exact, final


def opened(
    artifact: Artifact | str | Path,
    model: Any,
    *,
    data: Any,
    calibration: Any = None,
    target: str | Path | Target | None = None,
    preprocess: Preprocess | Mapping[str, Preprocess] | None = None,
    samples: int | None = None,
    **options: Any,
) -> Subject:
    """Load everything.

    Args:
        artifact: The artifact, or its folder.
        model: The float model, or None to look for the one the artifact was made from.
        data: To measure on.
        calibration: What the artifact was calibrated on; None for a part of `data`.
        target: Where it is no built-in one: the ``.toml`` that the artifact was made for.
        preprocess: Of both data; None for what the manifest says.
        samples: Of `data` to use, at most.
        **options: How to load the float model: ``example_inputs``, ``weights``, ``dims``, ``trust``.

    Raises:
        UsageError: The float model is not at hand, or the recipe trains.
        DataError: The data do not fit.
    """
    found = artifact if isinstance(artifact, Artifact) else Artifact.load(artifact)
    recipe = Recipe.from_toml(found.recipe_text)
    if trained := next((p.name for p in recipe.passes if p.name in TRAINING), None):
        raise UsageError(
            f"the recipe of {found.path} trains ({trained}), and a look inside would have to train again",
            next_step=f"debug the artifact of the same recipe without {trained}, or compare files with edgekit verify --layers",
        )
    given = read_data(found, data, preprocess, samples)
    graph, notes = reference_graph(found, model, **options, batch=found.manifest.batch)
    if graph is None:
        raise UsageError(
            f"the float model {found.manifest.source.name!r} is not at hand",
            accepted="the model, as edgekit convert takes it",
            next_step="pass model=..., on the command line --model",
        )
    graph = with_pictures(graph, found)
    same_interface(found, graph)
    if calibration is None:
        notes = (*notes, "grids were calibrated on the data given; give --calibration what the artifact was calibrated on")
        used = given.spread(CALIBRATION_SAMPLES)
    else:
        used = read_data(found, calibration, preprocess, CALIBRATION_SAMPLES)
    return Subject(found, graph, recipe, _target(found, target), given, used, notes)


def _target(artifact: Artifact, given: str | Path | Target | None) -> Target:
    """The artifact's, at the version of its platform that it needs."""
    target = given if isinstance(given, Target) else load_target(given or artifact.manifest.target)
    if target.name != artifact.manifest.target:
        raise UsageError(f"the artifact was made for {artifact.manifest.target!r}, not for {target.name!r}")
    platform = target.platform
    version = artifact.manifest.requires.get(platform.name) if platform is not None else None
    return target if platform is None or version not in platform.versions else target.at(str(version))
