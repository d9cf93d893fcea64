"""What a recipe becomes when the model must get smaller, or may be trained: the passes for it, in the places where they work.

    shrunk(load_recipe("int8"), pruning={"macs": 0.5}, training={"epochs": 20})

is ``prune_channels``, ``fine_tune``, then the passes of int8. What comes out is a recipe like any other: readable, saved, replayable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgekit.compress.gradual import gradually
from edgekit.compress.prune_channels import PruneChannels
from edgekit.compress.training import FineTune
from edgekit.compress.training.preparation import DEFAULT_EPOCHS
from edgekit.errors import UsageError
from edgekit.ordering import PRUNING, check_order
from edgekit.recipe import Pass, Recipe
from edgekit.recipes import load_recipe
from edgekit.targets import Target

PRUNE, TRAIN = PruneChannels.name, FineTune.name

AFTER_REFIT: Mapping[str, Any] = {"learning_rate": 1e-4, "batch_norm": False}
"""How to train what ``prune_channels`` leaves, unless told otherwise: its layers are refitted and nearly right, which larger steps and
statistics of batches lose again. cifar_resnet56 with 2.1 times fewer multiply-accumulates, 40 seconds on 3,500 images, accuracy on 500
others: 0.952 before, 0.962 so; 0.954 at three times that rate, 0.464 at ten times; with batch statistics 0.820 and 0.890.
"""


def target_recipe(target: Target, *, trained: bool) -> Recipe:
    """A target's default recipe: the one for models that may be trained where it has such, and there are data to train on."""
    return load_recipe(target.trained_recipe if trained and target.trained_recipe is not None else target.recipe)


def shrunk(
    recipe: Recipe, pruning: Mapping[str, Any] | None = None, training: Mapping[str, Any] | None = None, *, rounds: int = 1
) -> Recipe:
    """The recipe with channels removed before everything else, and with training where weights can still recover.

    Args:
        recipe: What is done besides.
        pruning: Options of ``prune_channels``; None to remove nothing.
        training: Options of ``fine_tune``, over `AFTER_REFIT` where `pruning` is given; it goes after the last pass that prunes, or to the
            end where none does: then what is trained are clustered or rounded weights. A recipe that has ``fine_tune`` keeps its places and
            takes these options. None not to train.
        rounds: Channels are removed in so many rounds, with training after each, which takes an equal share of the epochs or seconds.

    Raises:
        UsageError: The recipe removes channels already, an option cannot be used, rounds have nothing to take turns, or the passes do not
            work in this order.
    """
    passes = recipe.passes
    if pruning is not None and training is not None:
        training = {**AFTER_REFIT, **training}
    if pruning is not None and _has(passes, PRUNE):
        raise UsageError(f"recipe {recipe.name!r} has its own {PRUNE}", accepted="a budget, or a recipe that prunes channels; not both")
    if rounds != 1:
        passes = (*_rounds(pruning, training, rounds), *passes)
    else:
        passes = passes if pruning is None else (PruneChannels(**pruning), *passes)
        passes = passes if training is None else _trained(passes, training)
    check_order(passes, recipe.name)
    added = [word for word, name in (("pruned", PRUNE), ("trained", TRAIN)) if _has(passes, name) and not _has(recipe.passes, name)]
    return replace(recipe, name="_".join((*added, recipe.name)), passes=passes)


def _rounds(pruning: Mapping[str, Any] | None, training: Mapping[str, Any] | None, rounds: int) -> tuple[Pass, ...]:
    """Pruning and training in turns."""
    if pruning is None or training is None:
        raise UsageError(f"{rounds} rounds are pruning and training in turns", accepted="a budget and data to train on")
    shares: dict[str, Any] = {"epochs": max(1, round(training.get("epochs", DEFAULT_EPOCHS) / rounds))}
    if "seconds" in training:
        shares = ({} if "epochs" not in training else shares) | {"seconds": training["seconds"] / rounds}
    return gradually(PruneChannels(**pruning), rounds, [FineTune(**{**training, **shares})])


def _trained(passes: tuple[Pass, ...], options: Mapping[str, Any]) -> tuple[Pass, ...]:
    if _has(passes, TRAIN):
        return tuple(replace(step, **options) if isinstance(step, FineTune) else step for step in passes)
    places = [place for place, step in enumerate(passes, 1) if step.name in PRUNING]
    place = places[-1] if places else len(passes)
    return (*passes[:place], FineTune(**options), *passes[place:])


def _has(passes: tuple[Pass, ...], name: str) -> bool:
    return any(step.name == name for step in passes)
