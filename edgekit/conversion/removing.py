"""What a recipe removes from a model, and the same model converted without that: what a gain is measured against."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.errors import UsageError
from edgekit.gains import Gains, Size
from edgekit.ordering import PRUNING
from edgekit.recipe import Recipe
from edgekit.targets import Target

if TYPE_CHECKING:
    from edgekit.graph import Graph


def prunes(recipe: Recipe) -> bool:
    """Whether a recipe takes weights away."""
    return any(step.name in PRUNING for step in recipe.passes)


def without_pruning(recipe: Recipe) -> Recipe:
    """The same recipe without the passes that take weights away, and without training: neither sizes nor times depend on it.

    Raises:
        UsageError: The recipe prunes nothing, so there is nothing to compare.
    """
    if not prunes(recipe):
        raise UsageError(
            f"recipe {recipe.name!r} prunes nothing, so its model is the unpruned one",
            accepted=f"a recipe with {' or '.join(PRUNING)}",
            next_step="leave out unpruned",
        )
    return recipe.without(*PRUNING, "fine_tune")


def roomy(target: Target) -> Target:
    """The same device without limits of memory: the model may be too large for it before it is pruned."""
    return replace(target, flash_bytes=None, ram_bytes=None)


def counted(before: Graph, after: Graph) -> Gains:
    """What pruning left of a model, counted on its canonical graphs."""
    return Gains(_size(before), _size(after))


def _size(graph: Graph) -> Size:
    from edgekit.compress.costs import cost_of  # noqa: PLC0415 - torch loads where it is needed

    cost = cost_of(graph)
    return Size(cost.macs, cost.parameters, cost.zeros)
