"""Prune in several rounds with a training after each, written out as the steps of a recipe.

What is gone after round i of n follows the cubic schedule of Zhu and Gupta 2017 ("To prune, or not to prune", equation 1): much at first,
where weights are redundant, little at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from edgekit.compress.costs import MEASURES
from edgekit.compress.prune import Prune
from edgekit.compress.prune_channels import PruneChannels
from edgekit.errors import UsageError
from edgekit.recipe import Pass

_DIGITS = 6
"""Of shares, as a recipe's file shows them."""


def gradually(final: Prune | PruneChannels, rounds: int, between: Sequence[Pass]) -> tuple[Pass, ...]:
    """The steps: a pruning and `between`, again and again, until the sparsity or budget of `final` is met.

    Args:
        final: The pruning to end with: a sparsity, a ratio or a share of a budget.
        rounds: 1 or more.
        between: What follows each pruning: ``fine_tune``.

    Raises:
        UsageError: No round at all, or a budget that is no share.
    """
    if rounds < 1:
        raise UsageError(f"{rounds} rounds of pruning", accepted="1 or more")
    prunings = _of_weights(final, rounds) if isinstance(final, Prune) else _of_channels(final, rounds)
    return tuple(step for pruning in prunings for step in (pruning, *between))


def cubic(final: float, rounds: int) -> list[float]:
    """What share is gone after each round, `final` after the last."""
    return [final * (1 - (1 - i / rounds) ** 3) for i in range(1, rounds + 1)]


def _of_weights(final: Prune, rounds: int) -> list[Prune]:
    if final.sparsity is None:
        raise UsageError("patterns of N:M and thresholds take their share at once", accepted="a pruning with a sparsity")
    return [replace(final, sparsity=round(gone, _DIGITS)) for gone in cubic(final.sparsity, rounds)]


def _of_channels(final: PruneChannels, rounds: int) -> list[PruneChannels]:
    """Each round's budget is a share of what the round before it left."""
    option = next(name for name in ("ratio", *MEASURES) if getattr(final, name) is not None)
    asked = getattr(final, option)
    if asked > 1:
        raise UsageError(f"{option} is {asked:g}, a number", accepted="a share between 0 and 1, for rounds to be parts of it")
    left = [1.0, *(1 - gone for gone in cubic(asked if option == "ratio" else 1 - asked, rounds))]
    shares = [after / before for before, after in pairwise(left)]
    budgets: list[dict[str, Any]] = [{option: round(1 - share if option == "ratio" else share, _DIGITS)} for share in shares]
    return [replace(final, **budget) for budget in budgets]
