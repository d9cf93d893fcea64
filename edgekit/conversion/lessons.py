"""What passes that train learn from, as the user gives it: data, a teacher, and a folder for the state of trainings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.conversion.images import Picture, from_pixels, pixel_samples
from edgekit.data import Samples, read_samples
from edgekit.errors import DataError, UsageError
from edgekit.preprocess import Preprocess
from edgekit.recipe import Context, Recipe
from edgekit.targets import Target

if TYPE_CHECKING:
    from edgekit.graph import Graph

TRAINS = "fine_tune"
OWN = "own"
"""The term of a training's loss that is a function of the user's own."""
SELF = "self"
"""The teacher that is the model itself, as it was before the first pass."""


@dataclass(frozen=True)
class Lessons:
    """What trainings learn from; the attributes are those of `edgekit.recipe.Context`."""

    training: Samples | None = None
    validation: Samples | None = None
    teacher: Graph | Callable[..., Any] | None = None
    checkpoints: Path | None = None
    loss: Callable[..., Any] | None = None
    metric: Callable[..., Any] | None = None

    @classmethod
    def read(
        cls,
        graph: Graph,
        preprocess: Preprocess | Mapping[str, Preprocess] | None,
        *,
        training: Any = None,
        validation: Any = None,
        teacher: Any = None,
        checkpoints: str | Path | None = None,
        loss: str | Callable[..., Any] | None = None,
        metric: str | Callable[..., Any] | None = None,
        trust: bool = False,
    ) -> Lessons:
        """Read the data as a model's inputs, and the teacher as a graph.

        Args:
            graph: The model.
            preprocess: Of its inputs.
            training: As `edgekit.data.read_samples` takes it, or None.
            validation: The same.
            teacher: A `Graph`, a model in memory or a file that `edgekit.load` reads, a callable that maps inputs to outputs; ``self`` or
                None for the model itself.
            checkpoints: Folder, or None.
            loss: A function (`edgekit.compress.training.own`), its name as ``file.py:function``, or None.
            metric: The same.
            trust: Whether code inside a teacher's file may run.

        Raises:
            DataError: The data do not fit the model.
            LoadError: The teacher cannot be read.
            UsageError: The teacher is nothing that answers.
        """
        free = loss is not None or metric is not None
        parts = [None if data is None else read_samples(data, graph.inputs, preprocess, free=free) for data in (training, validation)]
        folder = None if checkpoints is None else Path(checkpoints)
        return cls(parts[0], parts[1], _teacher(teacher, graph, trust), folder, _function("loss", loss), _function("metric", metric))

    def context(self, target: Target, graph: Graph, data: Samples | None) -> Context:
        """What passes get; `graph`, the model as it is now, is the teacher where no other is named."""
        return Context(
            target.rules,
            data,
            alignment=target.channel_alignment,
            kernels=target.kernels,
            training=self.training,
            validation=self.validation,
            teacher=graph if self.teacher is None else self.teacher,
            checkpoints=self.checkpoints,
            loss=self.loss,
            metric=self.metric,
        )

    def with_pictures(self, found: tuple[Picture, ...]) -> Lessons:
        """The same for the model as it takes pixels."""
        from edgekit.graph import Graph  # noqa: PLC0415 - torch loads where it is needed

        if self.teacher is not None and not isinstance(self.teacher, Graph):
            raise UsageError("a teacher that is a function cannot take the pixels of an image input", accepted="a model, or no pictures")
        training, validation = (None if data is None else pixel_samples(data, found) for data in (self.training, self.validation))
        teacher = None if self.teacher is None else from_pixels(self.teacher, found)
        return replace(self, training=training, validation=validation, teacher=teacher)


def check_taught(recipe: Recipe, training: Any) -> None:
    """Refuse, before anything takes time, a recipe that trains without data, and data that no pass of a recipe learns from.

    Raises:
        DataError: Either.
    """
    names = {step.name for step in recipe.passes}
    if training is None and TRAINS in names:
        raise DataError(
            f"recipe {recipe.name!r} trains, and there are no training data",
            accepted="samples, with class labels or without",
            next_step="training=..., on the command line --recover: for example what the model was trained on",
        )
    if training is not None and not names & {TRAINS, "prune_channels"}:
        raise DataError(
            f"training data are given, and recipe {recipe.name!r} trains nothing",
            accepted=f"a recipe with {TRAINS}: edgekit.compress.shrinking.shrunk adds it, on the command line --recover",
        )


def minimizing(recipe: Recipe, loss: Any) -> Recipe:
    """The recipe, saying that its trainings minimize a loss of the user's own, so that none is trained again without it.

    Args:
        recipe: Any.
        loss: The user's, or None.

    Raises:
        UsageError: All its trainings minimize something else.
    """
    if loss is None:
        return recipe
    steps: list[Any] = list(recipe.passes)
    changed = [replace(step, losses={OWN: 1.0}) if step.name == TRAINS and not step.losses else step for step in steps]
    if not any(step.name == TRAINS and OWN in step.losses for step in changed):
        raise UsageError(
            f"a loss is given, and nothing in recipe {recipe.name!r} minimizes it",
            accepted=f"a {TRAINS} without losses, or with {OWN} among them",
            next_step=f"losses.{OWN} = 1.0 in the recipe; on the command line --recover DATA adds a training",
        )
    return replace(recipe, passes=tuple(changed))


def _function(what: str, given: str | Callable[..., Any] | None) -> Callable[..., Any] | None:
    """A function of the user's.

    Raises:
        LoadError: Its name cannot be imported.
        UsageError: It is no function.
    """
    from edgekit.loading.source import imported  # noqa: PLC0415 - torch loads where it is needed

    found = imported(given) if isinstance(given, str) else given
    if found is not None and not callable(found):
        raise UsageError(f"the {what} is a {type(found).__name__}", accepted=f"{what}(outputs, labels), or its name as file.py:{what}")
    return found


def _teacher(given: Any, graph: Graph, trust: bool) -> Graph | Callable[..., Any] | None:
    import torch  # noqa: PLC0415 - torch loads where it is needed

    from edgekit.canonicalize.opening import read  # noqa: PLC0415
    from edgekit.graph import Graph  # noqa: PLC0415
    from edgekit.loading import is_keras  # noqa: PLC0415

    if given is None or (isinstance(given, str) and given == SELF):
        return None
    if isinstance(given, Graph):
        return given
    batch = graph.inputs[0].shape[0]
    if isinstance(given, torch.nn.Module) and not is_keras(given):
        return read(given, tuple(torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in graph.inputs), batch=batch)
    if isinstance(given, (str, Path, torch.export.ExportedProgram)) or is_keras(given):
        return read(given, batch=batch, trust=trust)
    if callable(given):
        return given  # type: ignore[no-any-return]
    raise UsageError(f"the teacher is a {type(given).__name__}", accepted="self, a Graph, a model, a file, or a callable")
