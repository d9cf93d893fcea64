"""How many bits each weight gets: those with which the outputs lose least for the room there is.

A weight's loss at a width is the sum of its squared clustering errors times what they cost (`sensitivity`), the measure
of HAWQ-V2 (Dong et al. 2020, section 3.1) with the Hessian's diagonal instead of its mean. Widening starts from the narrowest and takes
the step that saves most loss a bit, again and again: a ladder of assignments from small to exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Bits = dict[str, int]
"""Width of the indices by weight; 16 for half-precision numbers."""


@dataclass(frozen=True)
class Choice:
    """One width of one weight.

    Attributes:
        bits: The width.
        size: Stored bits of the weight, tables included.
        loss: What the outputs lose.
    """

    bits: int
    size: int
    loss: float


def ladder(choices: Mapping[str, Sequence[Choice]]) -> list[Bits]:
    """Assignments from the smallest to the most exact, each one step from the one before.

    Args:
        choices: By weight.
    """
    hulls = {name: _hull(options) for name, options in choices.items()}
    steps = [(_gain(a, b), name, b.bits) for name, hull in hulls.items() for a, b in pairwise(hull)]
    steps.sort(key=lambda step: (-step[0], step[1], step[2]))
    rungs = [{name: hull[0].bits for name, hull in hulls.items()}]
    for _, name, bits in steps:
        rungs.append({**rungs[-1], name: bits})
    return rungs


def within(rungs: Sequence[Bits], size: Callable[[Bits], float], most: float) -> Bits | None:
    """The most exact assignment of `most` bits or less; None if there is none."""
    return next((rung for rung in reversed(rungs) if size(rung) <= most), None)


def least(rungs: Sequence[Bits], good: Callable[[Bits], bool]) -> Bits | None:
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


def _hull(options: Sequence[Choice]) -> list[Choice]:
    """The choices that lose least for their size: from the smallest on, each step saves less a bit than the one before."""
    hull: list[Choice] = []
    for option in sorted(options, key=lambda o: (o.size, o.loss)):
        if hull and (option.size == hull[-1].size or option.loss >= hull[-1].loss):
            continue
        while len(hull) > 1 and _gain(hull[-2], hull[-1]) <= _gain(hull[-1], option):
            hull.pop()
        hull.append(option)
    return hull
