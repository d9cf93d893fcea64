"""What a walk over a graph finds out about the dimensions of its values and weights: which indices go together.

Every index of every dimension has a label. Operators unite labels (an addition those of its operands), hand them on (a concatenation
puts them one behind the other) or make new ones (a layer's output channels). What ends up in one set can only be removed together:
the dependency groups of DepGraph (Fang et al. 2023, section 3), down to the single channel, so that concatenated, padded,
split and reshaped channels are followed exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from torch import fx

from edgekit.compress.channels.partition import FIXED, Labels, Partition
from edgekit.graph import dtype_of, op_name, shape_of

Axes: TypeAlias = tuple[Labels, ...]
"""Labels of each dimension of a value."""

OUTPUTS, INPUTS, CHANNELS = "outputs", "inputs", "channels"
"""What a weight has along a dimension: channels it writes, channels it reads, or one number for each channel that passes."""


@dataclass(frozen=True, eq=False)
class Use:
    """A dimension of a constant, as one call uses it.

    Attributes:
        constant: Its ``get_attr`` node.
        axis: Of the constant.
        role: `OUTPUTS`, `INPUTS` or `CHANNELS`.
        reader: The call.
    """

    constant: fx.Node
    axis: int
    role: str
    reader: fx.Node

    @property
    def key(self) -> str:
        """What its labels are kept under.

        A matrix that several calls read stays one. A vector is one for each call: canonicalization merges equal ones, zeros above all.
        """
        target = str(self.constant.target)
        return target if len(shape_of(self.constant)) > 1 else f"{target} of {self.reader.name}"


@dataclass(frozen=True, eq=False)
class Freeze:
    """Labels that must stay.

    Attributes:
        labels: Of any dimension.
        reason: Why.
        node: The call that needs them.
    """

    labels: Labels
    reason: str
    node: fx.Node


@dataclass(frozen=True, eq=False)
class Split:
    """A dimension that a reshape takes apart: one of the parts carries what can be removed.

    Attributes:
        key: The reshape's name and which of its dimensions.
        carrier: Labels of the part that was chosen.
        untried: How many other parts could be chosen after it.
    """

    key: tuple[str, int]
    carrier: Labels
    untried: int


@dataclass
class Trace:
    """The state of the walk.

    Attributes:
        choices: By split, which of its parts to take: 0 for the likeliest.
        partition: The sets.
        values: Labels of each value, by node name; of each of its parts where it has several results.
        constants: Labels of the dimensions of each constant by `Use.key`; None for those nobody has used yet.
        uses: Of constants.
        frozen: What must stay.
        averaged: Labels that a normalization takes statistics over: without them, the others' results change.
        splits: The reshapes that take a dimension apart.
    """

    choices: dict[tuple[str, int], int] = field(default_factory=dict)
    partition: Partition = field(default_factory=Partition)
    values: dict[str, Axes | tuple[Axes, ...]] = field(default_factory=dict)
    constants: dict[str, list[Labels | None]] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    frozen: list[Freeze] = field(default_factory=list)
    averaged: list[Labels] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)

    def axes(self, value: fx.Node, reader: fx.Node) -> Axes:
        """Labels of a value's dimensions; a constant's become one number for each channel."""
        if value.op == "get_attr":
            return tuple(self.made(value, axis, CHANNELS, reader) for axis in range(len(shape_of(value))))
        return self.values[value.name]  # type: ignore[return-value]  # calls with several results are read by getitem only

    def made(self, value: fx.Node, axis: int, role: str, reader: fx.Node) -> Labels:
        """Labels of one dimension that nothing else is known about: new ones for a constant nobody has used."""
        if value.op != "get_attr":
            return self.axes(value, reader)[axis]
        known = self._constant(value, axis, role, reader)
        if known[axis] is None:
            size = shape_of(value)[axis]
            known[axis] = self.partition.fresh(size) if dtype_of(value).is_floating_point else fixed(size)
        return known[axis]  # type: ignore[return-value]

    def join(self, value: fx.Node, axis: int, labels: Labels, role: str, reader: fx.Node) -> None:
        """Unite one dimension of a value or constant with labels."""
        if value.op != "get_attr":
            self.tie(self.axes(value, reader)[axis], labels, reader)
            return
        known = self._constant(value, axis, role, reader)
        before = known[axis]
        if before is not None:
            self.tie(before, labels, reader)
        elif not dtype_of(value).is_floating_point:
            self.tie(fixed(len(labels)), labels, reader)
        known[axis] = labels if before is None else before

    def tie(self, a: Labels, b: Labels, node: fx.Node) -> None:
        """Unite labels index by index; what meets a fixed one must stay."""
        free = (a != FIXED) & (b != FIXED)
        self.partition.unite(a[free], b[free])
        for labels, other in ((a, b), (b, a)):
            if len(bound := labels[(labels != FIXED) & (other == FIXED)]):
                self.frozen.append(Freeze(bound, f"{op_name(node)} joins them with what cannot be pruned", node))

    def tie_rows(self, rows: Labels, node: fx.Node) -> Labels:
        """Unite the labels of each row, shape (rows, any); one label a row."""
        first = rows[:, 0].copy()
        for column in rows.T[1:]:
            self.tie(first, column, node)
        return first

    def freeze(self, labels: Labels, reason: str, node: fx.Node) -> None:
        """Let nobody remove these."""
        if len(bound := labels[labels != FIXED]):
            self.frozen.append(Freeze(bound, reason, node))

    def freeze_all(self, axes: Iterable[Labels], reason: str, node: fx.Node) -> None:
        """Let nobody remove any index of these dimensions."""
        for labels in axes:
            self.freeze(labels, reason, node)

    def _constant(self, value: fx.Node, axis: int, role: str, reader: fx.Node) -> list[Labels | None]:
        use = Use(value, axis, role, reader)
        self.uses.append(use)
        return self.constants.setdefault(use.key, [fixed(1) if size == 1 else None for size in shape_of(value)])


def fixed(size: int) -> Labels:
    """Labels of a dimension of which nothing can be removed."""
    return np.zeros(size, np.int64)


def fixed_axes(shape: Sequence[int]) -> Axes:
    """Labels of a value of which nothing can be removed."""
    return tuple(fixed(size) for size in shape)


def is_fixed(labels: Labels) -> bool:
    """Whether nothing of a dimension can be removed."""
    return not labels.any()
