"""What each weight may cost: the choices with which the outputs lose least for the room (or the work) there is.

Each weight has options of a size and a loss (widths of its indices, ranks of its factors). Widening starts from the smallest option of
each and takes the step that saves most loss for its size, again and again: a ladder of assignments from small to exact. It is how HAWQ-V2
(Dong et al. 2020, section 3.2) and others spend one global budget; the losses are the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

Assignment = dict[str, int]
"""By weight, the option it takes: a width in bits, or any other number the caller knows it by."""

Rung = TypeVar("Rung")


@dataclass(frozen=True)
class Choice:
    """One option of one weight.

    Attributes:
        option: Its number; of equal steps the one to the lower number comes first.
        size: What it takes: stored bits, parameters, multiply-accumulates; below 0 for what it saves.
        loss: What the outputs lose.
    """

    option: int
    size: float
    loss: float


def ladder(choices: Mapping[str, Sequence[Choice]]) -> list[Assignment]:
    """Assignments from the smallest to the most exact, each one step from the one before.

    Args:
        choices: By weight.
    """
    hulls = {name: hull_of(options) for name, options in choices.items()}
    steps = [(_gain(a, b), name, b.option) for name, hull in hulls.items() for a, b in pairwise(hull)]
    steps.sort(key=lambda step: (-step[0], step[1], step[2]))
    rungs = [{name: hull[0].option for name, hull in hulls.items()}]
    for _, name, option in steps:
        rungs.append({**rungs[-1], name: option})
    return rungs


def within(rungs: Sequence[Assignment], size: Callable[[Assignment], float], most: float) -> Assignment | None:
    """The most exact assignment of a size of `most` or less; None if there is none."""
    return next((rung for rung in reversed(rungs) if size(rung) <= most), None)


def least(rungs: Sequence[Rung], good: Callable[[Rung], bool]) -> Rung | None:
    """The smallest assignment that is good, found by bisection; None if the most exact is not."""
    if not good(rungs[-1]):
        return None
    low, high = -1, len(rungs) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if good(rungs[middle]) else (middle, high)
    return rungs[high]


def _gain(a: Choice, b: Choice) -> float:
    return (a.loss - b.loss) / (b.size - a.size)


def hull_of(options: Sequence[Choice]) -> list[Choice]:
    """The choices that lose least for their size: from the smallest on, each step saves less a bit than the one before."""
    hull: list[Choice] = []
    for option in sorted(options, key=lambda o: (o.size, o.loss)):
        if hull and (option.size == hull[-1].size or option.loss >= hull[-1].loss):
            continue
        while len(hull) > 1 and _gain(hull[-2], hull[-1]) <= _gain(hull[-1], option):
            hull.pop()
        hull.append(option)
    return hull
