"""Dependency groups: channels that can be removed, and all that removing one touches.

Fang et al. 2023, "DepGraph: towards any structural pruning", section 3, found on the canonical graph (`edgekit.compress.channels.trace`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import fx

from edgekit.compress.channels.operators import traced
from edgekit.compress.channels.partition import FIXED, Labels
from edgekit.compress.channels.trace import OUTPUTS, Axes, Trace, Use
from edgekit.graph import Graph, module_path, op_name

NOT_REMOVABLE = "nothing else is left of a dimension without them"


@dataclass(frozen=True, eq=False)
class Slot:
    """One dimension of a constant, and which channel each of its indices belongs to.

    Attributes:
        key: Of the constant: its target, and its reader's name where each reader has its own.
        target: Of its ``get_attr`` nodes.
        axis: Of the constant.
        role: ``outputs``, ``inputs`` or ``channels``.
        readers: Names of the calls that read it.
        modules: Their module paths.
        labels: Number of the channel, for each index.
    """

    key: str
    target: str
    axis: int
    role: str
    readers: tuple[str, ...]
    modules: tuple[str, ...]
    labels: Labels


@dataclass(frozen=True, eq=False)
class Group:
    """Channels that lie side by side in the same weights; each can be removed, from all of them at once.

    Attributes:
        channels: Their numbers (`Channels`), ascending.
        slots: The constants' dimensions that removing one touches, in execution order.
        exact: Whether the other channels stay what they are when one goes. Not so where a normalization averages over them.
        frozen: Why none can be removed, or None.
    """

    channels: tuple[int, ...]
    slots: tuple[Slot, ...]
    exact: bool = True
    frozen: str | None = None

    def width(self, slot: Slot) -> int:
        """Indices of a slot that belong to one channel: 64 for an attention head of that width."""
        return int((slot.labels == self.channels[0]).sum())

    @property
    def modules(self) -> tuple[str, ...]:
        """Module paths it touches, in execution order."""
        return tuple(dict.fromkeys(path for slot in self.slots for path in slot.modules))

    @property
    def writers(self) -> tuple[str, ...]:
        """Module paths that write its channels."""
        return tuple(dict.fromkeys(path for slot in self.slots if slot.role == OUTPUTS for path in slot.modules))

    def __str__(self) -> str:
        rows = [(", ".join(slot.modules), slot.role, self._share(slot)) for slot in self.slots if not _is_vector(slot)]
        rows = list(dict.fromkeys(rows or [(", ".join(s.modules), s.role, self._share(s)) for s in self.slots]))
        wide = max((len(row[0]) for row in rows), default=0)
        state = f"cannot be removed: {self.frozen}" if self.frozen else "removed together from"
        extra = "" if self.exact else " (a normalization averages over them)"
        count = f"{len(self.channels)} channel{'s' * (len(self.channels) != 1)}"
        return "\n".join([f"{count}, {state}{extra}", *(f"  {path:<{wide}}  {role:<8}  {share}" for path, role, share in rows)])

    def _share(self, slot: Slot) -> str:
        """How many indices of the slot they are."""
        width = self.width(slot)
        held = len(self.channels) * width
        each = f", {width} each" if width > 1 else ""
        return f"{held} of {len(slot.labels)}{each}"


@dataclass(frozen=True, eq=False)
class Channels:
    """All dimensions of a graph, by the channels they hold. It also fits copies of the graph.

    Attributes:
        values: Labels of the dimensions of each value, by node name: channel numbers, or 0 where nothing can be removed.
        slots: Of all constants.
        groups: In execution order.
    """

    values: Mapping[str, Axes | tuple[Axes, ...]]
    slots: tuple[Slot, ...]
    groups: tuple[Group, ...]

    @property
    def count(self) -> int:
        """One more than the largest number of a channel."""
        return 1 + max((channel for group in self.groups for channel in group.channels), default=FIXED)

    @property
    def removable(self) -> tuple[Group, ...]:
        """The groups that are not frozen."""
        return tuple(group for group in self.groups if not group.frozen)


def find_channels(graph: Graph) -> Channels:
    """Which channels of a graph can be removed, and how.

    Args:
        graph: Canonical: not lowered, not quantized.
    """
    choices: dict[tuple[str, int], int] = {}
    while True:
        trace = traced(graph, choices)
        resolved = _Resolved.of(trace)
        # A part of a dimension that turns out immovable makes room for the next: heads where queries, keys and values cannot be it.
        stuck = [s for s in trace.splits if s.untried and all(int(c) in resolved.frozen for c in resolved.roots[s.carrier])]
        if not stuck:
            return resolved.channels(graph)
        for split in stuck:
            choices[split.key] = choices.get(split.key, 0) + 1


def channel_groups(graph: Graph) -> tuple[Group, ...]:
    """The groups of a graph that can be pruned, in execution order; ``print(group)`` says what removing a channel of it touches."""
    return find_channels(graph).removable


@dataclass(frozen=True)
class _Resolved:
    """A trace whose sets are final.

    Attributes:
        trace: The trace.
        roots: For each label, the number of its channel.
        frozen: Channels that must stay, and why.
    """

    trace: Trace
    roots: Labels
    frozen: Mapping[int, str]

    @classmethod
    def of(cls, trace: Trace) -> _Resolved:
        roots = trace.partition.roots()
        frozen = {FIXED: "nothing that can be pruned"}
        for freeze in trace.frozen:
            for channel in np.unique(roots[freeze.labels]).tolist():
                frozen.setdefault(channel, f"{freeze.reason} ({_place(freeze.node)})" if _place(freeze.node) else freeze.reason)
        for labels in _dimensions(trace):
            channel = int(roots[labels[0]]) if len(labels) else FIXED
            if channel not in frozen and (roots[labels] == channel).all():
                frozen[channel] = NOT_REMOVABLE
        return cls(trace, roots, frozen)

    def channels(self, graph: Graph) -> Channels:
        order = {node.name: index for index, node in enumerate(graph.nodes)}
        slots = sorted(self._slots(), key=lambda slot: order[slot.readers[0]])
        values = {name: self._renamed(axes) for name, axes in self.trace.values.items()}
        return Channels(values, tuple(slots), tuple(self._groups(slots)))

    def _renamed(self, axes: Axes | tuple[Axes, ...]) -> Axes | tuple[Axes, ...]:
        return tuple(self._renamed(x) if isinstance(x, tuple) else self.roots[x] for x in axes)  # type: ignore[return-value]

    def _slots(self) -> list[Slot]:
        readers: dict[tuple[str, int], list[fx.Node]] = defaultdict(list)
        first: dict[tuple[str, int], Use] = {}
        for use in self.trace.uses:
            first.setdefault((use.key, use.axis), use)
            readers[use.key, use.axis].append(use.reader)
        found = []
        for (key, axis), use in first.items():
            nodes = tuple(dict.fromkeys(readers[key, axis]))
            paths = tuple(dict.fromkeys(_place(node) or op_name(node) for node in nodes))
            labels = self.trace.constants[key][axis]
            assert labels is not None
            slot = Slot(key, str(use.constant.target), axis, use.role, tuple(n.name for n in nodes), paths, self.roots[labels])
            found.append(slot)
        return found

    def _groups(self, slots: Sequence[Slot]) -> Iterable[Group]:
        places: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, slot in enumerate(slots):
            for channel, count in zip(*(a.tolist() for a in np.unique(slot.labels, return_counts=True)), strict=True):
                if channel != FIXED:
                    places[channel].append((index, count))
        averaged = {c for labels in self.trace.averaged for c in np.unique(self.roots[labels]).tolist()}
        members: dict[tuple[tuple[tuple[int, int], ...], str | None, bool], list[int]] = defaultdict(list)
        for channel, found in sorted(places.items()):
            members[tuple(found), self._reason(channel, found, slots), channel not in averaged].append(channel)
        for (where, reason, exact), channels in sorted(members.items(), key=lambda item: item[0][0]):
            yield Group(tuple(channels), tuple(slots[index] for index, _ in where), exact, reason)

    def _reason(self, channel: int, where: Sequence[tuple[int, int]], slots: Sequence[Slot]) -> str | None:
        if channel in self.frozen:
            return self.frozen[channel]
        roles = {slots[index].role for index, _ in where}
        return None if OUTPUTS in roles else "no layer writes them"


def _dimensions(trace: Trace) -> Iterable[Labels]:
    for axes in trace.values.values():
        for part in axes:
            yield from part if isinstance(part, tuple) else (part,)
    for constant in trace.constants.values():
        yield from (labels for labels in constant if labels is not None)


def _place(node: fx.Node) -> str:
    return module_path(node) if node.op == "call_function" else ""


def _is_vector(slot: Slot) -> bool:
    return slot.key != slot.target
