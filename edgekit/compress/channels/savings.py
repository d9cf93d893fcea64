"""What removing channels spares a device's kernels: where few of them run at once, the last that go of a tile save all that it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from torch import fx

from edgekit.compress.channels.groups import Channels, Group
from edgekit.compress.channels.partition import Labels
from edgekit.compress.costs import work_of
from edgekit.graph import Graph, is_call, shape_of
from edgekit.targets.kernels import Kernels

_Widths = Mapping[str, Mapping[int, int]]
"""By the name of a value or the target of a constant, the indices of each dimension that one channel takes."""


class Savings:
    """Work that is spared when channels of one group go and all others stay."""

    def __init__(self, graph: Graph, channels: Channels, kernels: Kernels) -> None:
        self._kernels = kernels
        self._widths = _widths(channels)
        self._touched: dict[int, list[fx.Node]] = defaultdict(list)
        for node in graph.nodes:
            if is_call(node):
                names = {_name(x) for x in (node, *node.all_input_nodes)}
                for group in (first for first, widths in self._widths.items() if not names.isdisjoint(widths)):
                    self._touched[group].append(node)

    def __call__(self, group: Group, gone: int) -> float:
        """What is spared when `gone` channels of a group go: all that its branch takes where all of them do."""
        first = group.channels[0]
        widths = self._widths[first]
        before = sum(work_of(node, self._kernels) for node in self._touched[first])
        if gone == len(group.channels):
            return before

        def shape(node: fx.Node) -> tuple[int, ...]:
            narrower = widths.get(_name(node), {})
            return tuple(size - gone * narrower.get(axis, 0) for axis, size in enumerate(shape_of(node)))

        return before - sum(work_of(node, self._kernels, shape) for node in self._touched[first])


def _name(node: fx.Node) -> str:
    return str(node.target) if node.op == "get_attr" else node.name


def _widths(channels: Channels) -> Mapping[int, _Widths]:
    """By the first channel of each group."""
    firsts = np.array(sorted(group.channels[0] for group in channels.removable))
    found: dict[int, dict[str, dict[int, int]]] = {int(first): defaultdict(dict) for first in firsts}
    for name, axis, labels in _dimensions(channels):
        for channel, count in zip(*np.unique(labels[np.isin(labels, firsts)], return_counts=True), strict=True):
            found[int(channel)][name][axis] = int(count)
    return found


def _dimensions(channels: Channels) -> Iterable[tuple[str, int, Labels]]:
    """Of all values but results in parts, which nothing is multiplied in, and of all matrices."""
    for name, axes in channels.values.items():
        yield from ((name, axis, labels) for axis, labels in enumerate(axes) if isinstance(labels, np.ndarray))
    yield from ((slot.target, slot.axis, slot.labels) for slot in channels.slots if slot.key == slot.target)
