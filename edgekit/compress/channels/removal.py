"""Remove channels: weights lose rows and columns, and operators that name sizes learn the new ones.

Given: a canonical graph and some of its channels.
Result: a smaller graph that computes what the given one does where all weights that read those channels are zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from edgekit.compress.channels.branches import empty, read_by
from edgekit.compress.channels.groups import Channels, Slot
from edgekit.compress.channels.partition import Labels
from edgekit.compress.channels.trace import Axes
from edgekit.constraints import Change
from edgekit.graph import Graph, argument, finish, op_name, reweigh_all


def removed(graph: Graph, channels: Channels, gone: Collection[int]) -> Graph:
    """The graph without some channels; weights keep their constraints.

    Args:
        graph: The graph `channels` was found on, or a copy of it.
        channels: Its channels.
        gone: Numbers of those to remove; none of a frozen group, and all of a group only where it is a branch
            (`edgekit.compress.channels.branches`).

    Raises:
        ConversionError: A constraint does not survive: a table of values for groups of channels that are no longer whole.
    """
    result = graph.copy()
    sizes = _Sizes(channels, gone)
    empty(result.module, partial(_left_of_unread, channels=channels, sizes=sizes))
    nodes = {node.name: node for node in result.nodes}
    for node in result.nodes:
        if node.op == "call_function" and (adapt := _ADAPTED.get(op_name(node))):
            adapt(node, sizes)
    for slots in _by_constant(channels.slots).values():
        kept = {slot.axis: sizes.kept(slot.labels) for slot in slots}
        if any(len(indices) < len(slot.labels) for slot, indices in zip(slots, kept.values(), strict=True)):
            _select(nodes, slots, kept)
    for node in result.nodes:
        if node.op == "call_function":
            node.meta["val"] = sizes.value(node)
    finish(result.module)
    return result


def _left_of_unread(node: fx.Node, channels: Channels, sizes: _Sizes) -> Labels | None:
    """Indices that stay of what a layer gives, of one that reads no channel any more."""
    read = read_by(node, channels)
    return None if read is None or sizes.left(read) else sizes.kept(sizes.of(node)[1 if op_name(node) == "convolution" else -1])


class _Sizes:
    """What is left of dimensions."""

    def __init__(self, channels: Channels, gone: Collection[int]) -> None:
        self._values = channels.values
        self._stays = np.ones(channels.count, bool)
        self._stays[list(gone)] = False

    def kept(self, labels: Labels) -> Labels:
        """Indices that stay."""
        return np.flatnonzero(self._stays[labels])

    def left(self, labels: Labels) -> int:
        """How many stay."""
        return len(self.kept(labels))

    def of(self, node: fx.Node) -> Axes:
        """Labels of the dimensions of a value before removal."""
        return self._values[node.name]  # type: ignore[return-value]

    def shape(self, node: fx.Node) -> list[int]:
        """The new shape of a value."""
        return [self.left(labels) for labels in self.of(node)]

    def value(self, node: fx.Node) -> Any:
        """What a call gives now, on the ``meta`` device."""
        before = node.meta["val"]
        if isinstance(before, Tensor):
            return before.new_empty(self.shape(node))
        parts: tuple[Axes, ...] = self._values[node.name]  # type: ignore[assignment]  # one for each result
        return tuple(part.new_empty([self.left(x) for x in axes]) for part, axes in zip(before, parts, strict=True))


def _by_constant(slots: Sequence[Slot]) -> Mapping[str, list[Slot]]:
    found: dict[str, list[Slot]] = defaultdict(list)
    for slot in slots:
        found[slot.key].append(slot)
    return found


def _select(nodes: Mapping[str, fx.Node], slots: Sequence[Slot], kept: Mapping[int, Labels]) -> None:
    """Take what stays of a constant, for the readers that share it."""
    readers = [nodes[name] for slot in slots for name in slot.readers if name in nodes]
    if not readers:
        return  # they went as a whole
    operands = [x for reader in readers for x in reader.all_input_nodes if x.op == "get_attr" and x.target == slots[0].target]
    reweigh_all(operands[0], selection(kept), list(dict.fromkeys(readers)))


def selection(kept: Mapping[int, Labels]) -> Change:
    """Takes some indices of dimensions of a weight."""

    def select(weight: Tensor) -> Tensor:
        for axis, indices in kept.items():
            if len(indices) < weight.shape[axis]:
                weight = weight.index_select(axis, torch.from_numpy(indices).to(weight.device))
        return weight

    return select


def _reshape(node: fx.Node, sizes: _Sizes) -> None:
    asked = argument(node, "shape")
    _set(node, "shape", [old if old == -1 else new for old, new in zip(asked, sizes.shape(node), strict=True)])


def _expand(node: fx.Node, sizes: _Sizes) -> None:
    asked = argument(node, "size")
    _set(node, "size", [old if old == -1 else new for old, new in zip(asked, sizes.shape(node), strict=True)])


def _slice(node: fx.Node, sizes: _Sizes) -> None:
    source, dim = argument(node, "self"), int(argument(node, "dim"))
    if source.op == "get_attr":
        return
    labels = sizes.of(source)[dim]
    if sizes.left(labels) < len(labels):
        start = slice(argument(node, "start"), None).indices(len(labels))[0]
        first = sizes.left(labels[:start])
        _set(node, "start", first)
        _set(node, "end", first + sizes.left(sizes.of(node)[dim]))


def _pad(node: fx.Node, sizes: _Sizes) -> None:
    margins = list(argument(node, "pad"))
    for back, labels in zip(range(len(margins) // 2), reversed(sizes.of(node)), strict=False):
        if sizes.left(labels) < len(labels):
            before, after = margins[2 * back : 2 * back + 2]
            margins[2 * back] = sizes.left(labels[:before])
            margins[2 * back + 1] = sizes.left(labels[len(labels) - after :])
    _set(node, "pad", margins)


def _convolution(node: fx.Node, sizes: _Sizes) -> None:
    read = sizes.of(argument(node, "input"))[1]
    if argument(node, "groups") == len(read):
        _set(node, "groups", sizes.left(read))


def _group_norm(node: fx.Node, sizes: _Sizes) -> None:
    channels = sizes.of(argument(node, "input"))[1]
    if argument(node, "num_groups") == len(channels):
        _set(node, "num_groups", sizes.left(channels))


def _normalized(node: fx.Node, sizes: _Sizes) -> None:
    _set(node, "normalized_shape", sizes.shape(node)[-len(argument(node, "normalized_shape")) :])


def _attention(node: fx.Node, sizes: _Sizes) -> None:
    """Scores are divided by the root of the width that heads had."""
    width = sizes.of(argument(node, "query"))[-1]
    if argument(node, "scale") is None and sizes.left(width) < len(width):
        node.kwargs = {**node.kwargs, "scale": len(width) ** -0.5}


_ADAPTED: Mapping[str, Callable[[fx.Node, _Sizes], None]] = {
    "reshape": _reshape, "expand": _expand, "slice": _slice, "pad": _pad, "convolution": _convolution, "group_norm": _group_norm,
    "layer_norm": _normalized, "rms_norm": _normalized, "scaled_dot_product_attention": _attention,
}  # fmt: skip
"""The operators whose arguments name sizes."""


def _set(node: fx.Node, name: str, value: Any) -> None:
    """Change an argument of a call by its schema name."""
    names = [arg.name for arg in node.target._schema.arguments]  # type: ignore[union-attr]
    index = names.index(name)
    if index < len(node.args):
        node.update_arg(index, value)
    else:
        node.kwargs = {**node.kwargs, name: value}
