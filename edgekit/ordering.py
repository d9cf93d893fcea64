"""Which orders of passes cannot work, and why.

What passes leave on a weight (zeros, tables, integer grids) is kept by those that come after them, so most orders do work; these do not.
Data, not code: one line an order, with the reason a user is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.recipe import Pass

REMOVING = ("prune_channels", "low_rank")
"""Passes that take parts out of the model: it computes less afterwards."""
PRUNING = ("prune", *REMOVING)
"""Passes that take weights away, by removing them or by making them zero."""
RANGES = ("equalize", "smooth")
"""Passes that scale channels."""
SHARING = ("cluster", "hash_weights")
"""Passes that make weights share values."""
QUANTIZERS = ("quantize", "mixed_precision")
"""Passes that put weights on integer grids."""
CORRECTIONS = ("bias_correction", "adaround")
"""Passes that make up for rounding."""


@dataclass(frozen=True)
class Rule:
    """What passes have to do with those before them.

    Attributes:
        late: These,
        early: after any of these.
        reason: Why they must be there, or must not, as the end of a sentence.
    """

    late: tuple[str, ...]
    early: tuple[str, ...]
    reason: str


CLASHES = (
    Rule(("prune",), SHARING, "a table of few values need not hold zero; cluster leaves what is zero before it at zero"),
    Rule(REMOVING, SHARING, "parts are removed from the model as it was written, and tables belong to weights as the file has them"),
    Rule(("low_rank",), ("prune",), "the factors of a weight with zeros have none, so the pruning would be lost"),
    Rule(RANGES, SHARING, "scaling its channels would take a weight off its table"),
    Rule(("cluster",), ("hash_weights",), "its weights share values already, by their positions"),
    Rule(("hash_weights",), ("prune", "cluster"), "positions share values whatever they are, zeros and tables' entries too"),
    Rule(SHARING, QUANTIZERS, "its weights are rounded already; quantize after cluster rounds the tables' entries"),
    Rule(PRUNING, QUANTIZERS, "grids and scales were chosen for the weights that were there, and what is pruned must be gone before"),
    Rule(RANGES, QUANTIZERS, "the grids were chosen for the ranges that it would change"),
    Rule(("bias_correction",), ("adaround",), "it corrected the biases already, against what the float model gives"),
    Rule(QUANTIZERS, QUANTIZERS, "the weights are on grids already; give modules other schemes with overrides"),
)
"""Passes that cannot follow others."""

NEEDS = (Rule(CORRECTIONS, QUANTIZERS, "there is no rounding yet to make up for"),)
"""Passes that mean something after others only."""


def check_order(passes: Sequence[Pass], recipe: str) -> None:
    """Refuse an order of passes that cannot work.

    Args:
        passes: In the order they are applied.
        recipe: The recipe's name, for the error.

    Raises:
        UsageError: Naming both passes, their places and the reason.
    """
    before: dict[str, int] = {}
    for place, step in enumerate(passes, 1):
        where = f"recipe {recipe!r}: {step.name!r} (pass {place})"
        for clash in CLASHES:
            found = next((name for name in clash.early if name in before), None) if step.name in clash.late else None
            if found is not None:
                other = f"one of {', '.join(clash.early)}" if step.name in clash.early else f"{step.name} before {found}"
                raise UsageError(f"{where} cannot follow {found!r} (pass {before[found]}): {clash.reason}", accepted=other)
        for need in NEEDS:
            if step.name in need.late and not before.keys() & set(need.early):
                raise UsageError(f"{where} has nothing to work on: {need.reason}", accepted=f"{step.name} after {' or '.join(need.early)}")
        before.setdefault(step.name, place)
