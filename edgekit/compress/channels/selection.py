"""Which channels go: those of least importance, in whole steps of the device's alignment, until a budget is met."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from edgekit.compress.budget import Choice, hull_of
from edgekit.compress.channels.groups import Group
from edgekit.compress.channels.importance import Scores

SCOPES: dict[str, str] = {
    "group": "each dependency group loses the same share",
    "layer": "each layer loses the same share; groups that lie in one layer are ranked together",
    "global": "the model's least important channels go, wherever they are",
}


CLOSE = 0.99
"""Share of a budget that, left in use, is near enough to it."""


@dataclass(frozen=True)
class Step:
    """Channels of a group that go at once, so that what is left stays aligned.

    Attributes:
        channels: Their numbers.
        rank: When they go: steps of lower rank first.
        group: The group's first channel. Steps of one group go one after the other.
    """

    channels: tuple[int, ...]
    rank: float
    group: int


def steps(groups: Sequence[Group], scores: Scores, scope: str, alignment: int, most: float) -> list[Step]:
    """All steps there are, in the order in which they go.

    Args:
        groups: To take from.
        scores: Importance by channel, comparable between groups that are ranked together.
        scope: A key of `SCOPES`. By ``group`` and ``layer``, a rank is the share of the pool that is gone then; by ``global``, it is the
            mean importance of what goes.
        alignment: Channel counts are multiples of this, where a group can do that.
        most: Share of a group that goes, at most.
    """
    found: list[Step] = []
    for pool in _pools(groups, scope):
        ranked = sorted((step for group in pool for step in _blocks(group, scores, alignment, most)), key=lambda step: step.rank)
        if scope == "global":
            found += ranked
        else:
            gone = np.cumsum([len(step.channels) for step in ranked]) / sum(len(group.channels) for group in pool)
            found += [replace(step, rank=float(share)) for step, share in zip(ranked, gone, strict=True)]
    return sorted(found, key=lambda step: step.rank)


Saved = Callable[[Group, int], float]
"""What is saved when so many channels of a group go."""


def weighed(
    groups: Sequence[Group], scores: Scores, alignment: int, most: float, *, saved: Saved, branches: Mapping[Group, float]
) -> list[Step]:
    """All steps there are, in the order in which they go in ``global`` scope: those first that lose least for what they save.

    Channels whose going saves nothing until others have gone, too, go with them.

    Args:
        groups: To take from.
        scores: What is lost with each channel; losses add up.
        alignment: Channel counts are multiples of this, where a group can do that.
        most: Share of a group that goes, at most, unless all of it does.
        saved: What is saved.
        branches: Groups that may go as a whole, and what is lost then.
    """
    found: list[Step] = []
    for group in groups:
        order = _from_least(group, scores)
        losses = [0.0, *np.cumsum(scores[order]).tolist()]
        choices = [Choice(cut, -saved(group, cut), losses[cut]) for cut in _cuts(group, alignment, most)]
        if group in branches:
            choices.append(Choice(len(order), -saved(group, len(order)), branches[group]))
        kept = hull_of(choices)[::-1]
        first = group.channels[0]
        found += [Step(tuple(order[: kept[0].option]), 0.0, first)] if kept[0].option else []
        found += [Step(tuple(order[a.option : b.option]), (b.loss - a.loss) / (a.size - b.size), first) for a, b in pairwise(kept)]
    return sorted(found, key=lambda step: step.rank)


def up_to(ordered: Sequence[Step], ratio: float, scope: str, total: int) -> int:
    """How many steps take a share of the channels: of each pool, or of all channels in ``global`` scope.

    Args:
        ordered: What `steps` gives.
        ratio: The share.
        scope: What the steps are ordered by.
        total: Channels of all groups.
    """
    shares = np.cumsum([len(step.channels) for step in ordered]) / total if scope == "global" else [step.rank for step in ordered]
    return int(np.searchsorted(np.array(shares), ratio + 1e-9, side="right"))


def within(ordered: Sequence[Step], cost: Callable[[frozenset[int]], float], budget: float) -> Sequence[Step] | None:
    """The steps whose removal leaves a cost of at most `budget`; None if all of them are not enough.

    The fewest that suffice are found by bisection. Where the last of them saves much more than was wanted, others stay for it.
    """
    if cost(taken(ordered)) > budget:
        return None
    low, high = -1, len(ordered)  # fails, succeeds
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(taken(ordered[:middle])) <= budget else (middle, high)
    return _spared(ordered[:high], cost, budget)


def _spared(gone: Sequence[Step], cost: Callable[[frozenset[int]], float], budget: float) -> Sequence[Step]:
    """Without steps that need not go, tried from the last, which loses most, to the first."""
    left = list(gone)
    followed: set[int] = set()
    for step in reversed(gone):
        if cost(taken(left)) >= CLOSE * budget:
            break
        fewer = [other for other in left if other is not step]
        if step.group not in followed and cost(taken(fewer)) <= budget:
            left = fewer
        else:
            followed.add(step.group)
    return left


def taken(steps: Iterable[Step]) -> frozenset[int]:
    """Their channels."""
    return frozenset(channel for step in steps for channel in step.channels)


def _pools(groups: Sequence[Group], scope: str) -> Iterable[list[Group]]:
    """Groups that are ranked together."""
    if scope == "global":
        return [list(groups)]
    if scope == "group":
        return [[group] for group in groups]
    pools: list[list[Group]] = []
    for group in groups:
        keys = _dimensions(group)
        meeting = [pool for pool in pools if any(keys & _dimensions(other) for other in pool)]
        pools = [pool for pool in pools if pool not in meeting]
        pools.append([*(member for pool in meeting for member in pool), group])
    return pools


def _dimensions(group: Group) -> set[tuple[str, int]]:
    return {(slot.key, slot.axis) for slot in group.slots}


def _blocks(group: Group, scores: Scores, alignment: int, most: float) -> list[Step]:
    """A group's channels from the least important on, cut where what is left is aligned; its most important ones stay."""
    order = _from_least(group, scores)
    cuts = _cuts(group, alignment, most)
    found, rank = [], 0.0
    for start, end in pairwise(cuts):
        block = order[start:end]
        rank = max(rank, float(scores[block].mean()))
        found.append(Step(tuple(block), rank, group.channels[0]))
    return found


def _from_least(group: Group, scores: Scores) -> list[int]:
    return sorted(group.channels, key=lambda channel: (scores[channel], channel))


def _cuts(group: Group, alignment: int, most: float) -> list[int]:
    """How many channels may be gone: none, or such numbers that what is left is aligned."""
    unit = _unit(group, alignment)
    count = len(group.channels)
    # A group that has its layers to itself can bring an odd width into line; one that shares them takes away whole units.
    odd = count % unit if all(_alone(group, slot.labels) for slot in group.slots) else 0
    most_gone = min(math.floor(most * count + 1e-9), count - 1)
    return [0, *range(odd or unit, most_gone + 1, unit)]


def _unit(group: Group, alignment: int) -> int:
    """Channels that take an aligned number of indices of each weight they lie in: one attention head of width 64, 8 channels of 1."""
    widths = [group.width(slot) for slot in group.slots]
    return math.lcm(*(alignment // math.gcd(alignment, width) for width in widths))


def _alone(group: Group, labels: np.ndarray) -> bool:
    return bool(np.isin(labels, group.channels).all())
