"""Refuse what a pass' options do not take, in the same words for all passes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgekit.errors import UsageError


def require_one_of(what: str, got: object, accepted: Collection[object]) -> None:
    """Refuse a choice that there is not.

    Args:
        what: The option.
        got: Its value.
        accepted: The choices.

    Raises:
        UsageError: Naming the option, what it got and what it takes.
    """
    if got not in accepted:
        raise UsageError(f"{what} is {got!r}", accepted=[str(choice) for choice in accepted])


def require_within(what: str, got: float | None, fits: bool, accepted: str) -> None:
    """Refuse a number out of range.

    Args:
        what: The option.
        got: Its value; None, which stands for a choice of the pass', always fits.
        fits: Whether it is within the range; of NaN nothing is true, so ask for what is wanted.
        accepted: The range.

    Raises:
        UsageError: Naming the option, what it got and what it takes.
    """
    if got is not None and not fits:
        raise UsageError(f"{what} is {got:g}" if isinstance(got, float) else f"{what} is {got}", accepted=accepted)


def require_one_budget(of: str, given: Sequence[str], accepted: Sequence[str]) -> None:
    """Refuse no budget, and several.

    Args:
        of: The pass.
        given: Names of the budgets it got.
        accepted: All it takes one of.

    Raises:
        UsageError: Naming those it got, and all.
    """
    if len(given) != 1:
        raise UsageError(f"{of} has {' and '.join(given) or 'no budget'}", accepted=f"one of {', '.join(accepted)}")
