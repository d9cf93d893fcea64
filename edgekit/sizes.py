"""Sizes that stay open: dimensions an application chooses as it runs, each between a smallest and a largest size.

A model is traced at a few sizes. Every number in its graph that differs between the traces is taken for a multilinear function
of the open sizes, which the traces at the corners of their ranges determine and the others confirm (`between`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from edgekit.errors import LoadError

ONE_BY_ONE = "convert once for each size that is needed: --dim"
LARGER_STEP = f"choose a larger step (16..128:8), or {ONE_BY_ONE}"
MOST = 2
"""Sizes that may vary independently: a trace for every corner of their ranges must be made."""
Sizes = tuple[int, ...]
"""One size for each `OpenSize`, in their order."""


@dataclass(frozen=True)
class Range:
    """The sizes a dimension may have: `smallest`, `smallest` + `step`, … `largest`.

    Attributes:
        smallest: At least 1.
        typical: What the model is calibrated at, and the file is written at; at least 2.
        largest: The end, included.
        step: Distance of neighbouring sizes.
    """

    smallest: int
    typical: int
    largest: int
    step: int = 1

    def at(self, size: int) -> Range:
        """The same range, traced at another size."""
        return replace(self, typical=size)

    @property
    def ends(self) -> tuple[int, int]:
        """The smallest size that a trace shows as a size (a 1 means broadcasting), and the largest."""
        return (self.smallest if self.smallest > 1 else 1 + self.step), self.largest

    def __str__(self) -> str:
        return f"{self.smallest}..{self.largest}" + (f" in steps of {self.step}" if self.step != 1 else "")


@dataclass(frozen=True)
class OpenSize:
    """A size that an application chooses.

    Attributes:
        range: Its limits.
        places: Every input dimension that has it, as the input's name and the axis.
    """

    range: Range
    places: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return " and ".join(f"dimension {axis} of input {name!r}" for name, axis in self.places)

    def to_json(self) -> dict[str, Any]:
        """The manifest's form."""
        return {**vars(self.range), "places": [{"input": name, "axis": axis} for name, axis in self.places]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OpenSize:
        """Inverse of `to_json`."""
        limits = Range(data["smallest"], data["typical"], data["largest"], data["step"])
        return cls(limits, tuple((place["input"], place["axis"]) for place in data["places"]))


def range_of(given: Any, where: str, typical: int | None = None) -> Range | None:
    """What a user gave for a dimension, as a range; None where it is one size.

    Args:
        given: A `Range`; two numbers (smallest, largest), three (smallest, typical, largest) or four (and the step).
        where: What to call the dimension in errors.
        typical: Where the user does not say; by default the largest.

    Raises:
        LoadError: The numbers are no range.
    """
    if not isinstance(given, (Range, tuple, list)):
        return None
    numbers = [given.smallest, given.typical, given.largest, given.step] if isinstance(given, Range) else list(given)
    accepted = "(smallest, largest), (smallest, typical, largest) or (smallest, typical, largest, step)"
    if not 2 <= len(numbers) <= 4 or not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise LoadError(f"{where} was given the range {given!r}", accepted=accepted)
    if len(numbers) == 2:
        inside = typical is not None and numbers[0] <= typical <= numbers[1] and typical > 1
        numbers.insert(1, typical if inside and typical is not None else numbers[1])
    found = Range(*numbers)
    if not 1 <= found.smallest <= found.typical <= found.largest or found.step < 1:
        raise LoadError(f"{where} was given the range {given!r}", accepted="sizes of at least 1 in rising order, and a step of at least 1")
    if missed := [str(size) for size in (found.typical, found.largest) if (size - found.smallest) % found.step]:
        accepted = f"{found.smallest} plus multiples of {found.step}"
        raise LoadError(f"{where} was given the range {found}, which misses {' and '.join(dict.fromkeys(missed))}", accepted=accepted)
    return found


def together(places: Iterable[tuple[str, int, Range]]) -> tuple[OpenSize, ...]:
    """Open dimensions as sizes that vary independently: dimensions of several inputs with the same axis and range are one size.

    Raises:
        LoadError: There are more than `MOST`, or one has too few sizes to learn from.
    """
    groups: dict[Any, list[tuple[str, int]]] = {}
    for name, axis, limits in places:
        if limits.typical < 2 or limits.ends[0] >= limits.largest:
            told = f"dimension {axis} of input {name!r} has the range {limits}, typically {limits.typical}"
            raise LoadError(told, accepted="a typical size of at least 2, and two sizes above 1 to choose from")
        groups.setdefault((axis, limits), []).append((name, axis))
    found = tuple(OpenSize(limits, tuple(where)) for (_, limits), where in groups.items())
    if len(found) > MOST:
        raise LoadError(f"{len(found)} dimensions are open", accepted=f"at most {MOST} that vary independently", next_step="fix one: --dim")
    return found


def typical(open_sizes: Sequence[OpenSize]) -> Sizes:
    """The sizes a graph is traced at."""
    return tuple(o.range.typical for o in open_sizes)


def corners(open_sizes: Sequence[OpenSize]) -> list[Sizes]:
    """The smallest and largest of every size, in all combinations; the first size varies slowest."""
    return list(itertools.product(*(o.range.ends for o in open_sizes)))


def tried(open_sizes: Sequence[OpenSize]) -> list[Sizes]:
    """Where a file is run: at the smallest sizes, one step above them, the typical, the largest, and for two sizes across."""
    steps = [(o.range.smallest, o.range.smallest + o.range.step, o.range.largest) for o in open_sizes]
    lows, nexts, highs = (tuple(s[i] for s in steps) for i in range(3))
    across = [(lows[0], highs[1]), (highs[0], lows[1])] if len(steps) == 2 else []
    return list(dict.fromkeys([lows, nexts, typical(open_sizes), *across, highs]))


def between(values: Sequence[int], open_sizes: Sequence[OpenSize], sizes: Sizes) -> int | None:
    """A number of the graph at `sizes`, by multilinear interpolation of what it is at the `corners`; None if it is not whole."""
    weighted: list[Fraction] = [Fraction(v) for v in values]
    for open_size, size in zip(reversed(open_sizes), reversed(sizes), strict=True):
        low, high = open_size.range.ends
        share = Fraction(size - low, high - low)
        weighted = [a + (b - a) * share for a, b in zip(weighted[0::2], weighted[1::2], strict=True)]
    return int(weighted[0]) if weighted[0].denominator == 1 else None


def shape_at(name: str, shape: Sequence[int], open_sizes: Sequence[OpenSize], sizes: Sizes) -> tuple[int, ...]:
    """The shape of an input at `sizes`."""
    at = {axis: size for o, size in zip(open_sizes, sizes, strict=True) for place, axis in o.places if place == name}
    return tuple(at.get(axis, size) for axis, size in enumerate(shape))
