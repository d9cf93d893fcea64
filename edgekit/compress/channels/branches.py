"""Branches that a sum lets everything past: they can go as a whole, and leave their mean.

Given: ``x + conv2(relu(conv1(x)))``, all channels between the two layers to be removed.
Result: ``x + b``, where b is the bias of ``conv2``: what it gives where it reads nothing but zeros.

Veit, Wilber and Belongie 2016 ("Residual networks behave like ensembles of relatively shallow networks", section 4.1) found that residual
networks answer nearly the same without one of their branches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import fx

from edgekit.compress.channels.groups import Channels, Group
from edgekit.compress.channels.partition import Labels
from edgekit.graph import Graph, argument, constant, constant_value, is_call, op_name, shape_of

Ends = Mapping[Group, tuple[str, ...]]
"""Groups that can go as a whole, and the names of the layers that end their branches."""


def branches(graph: Graph, channels: Channels, groups: Iterable[Group]) -> Ends:
    """Which groups can go as a whole: all that reads their channels are layers that read nothing else, and whose results are summands.

    No two of them are summands of the same sum, which would have nothing left.

    Args:
        graph: The graph `channels` was found on.
        channels: Its channels.
        groups: Of these.
    """
    if graph.constraints:
        return {}  # those of the weights that go would be lost
    found: dict[Group, tuple[str, ...]] = {}
    claimed: set[fx.Node] = set()
    for group in groups:
        ends = _ends(graph, channels, group)
        sums = [user for end in ends for user in end.users]
        if ends and len(set(sums)) == len(sums) and claimed.isdisjoint(sums):
            found[group] = tuple(end.name for end in ends)
            claimed.update(sums)
    return found


def empty(module: fx.GraphModule, left: Callable[[fx.Node], Labels | None]) -> None:
    """Put the bias of each layer that reads no channel in its place.

    Args:
        module: To change.
        left: Gives the indices of a layer's outputs that stay, of a layer that reads no channel any more; else None.
    """
    for node in [n for n in module.graph.nodes if is_call(n) and op_name(n) in _AXIS]:
        kept = left(node)
        if kept is None:
            continue
        bias = constant_value(argument(node, "bias"))
        if bias is None:
            for user in list(node.users):
                user.replace_all_uses_with(next(x for x in user.all_input_nodes if x is not node))
        else:
            shape = [1 if axis != _AXIS[op_name(node)] % len(shape_of(node)) else -1 for axis in range(len(shape_of(node)))]
            node.replace_all_uses_with(constant(node, bias[torch.from_numpy(kept)].reshape(shape), str(argument(node, "bias").target)))
    module.graph.eliminate_dead_code()


def read_by(node: fx.Node, channels: Channels) -> Labels | None:
    """Labels of the channels that a layer reads; None where it has groups, or is no layer."""
    if not is_call(node) or op_name(node) not in _AXIS or (op_name(node) == "convolution" and argument(node, "groups") != 1):
        return None
    labels = channels.values[argument(node, "input").name][_AXIS[op_name(node)]]
    assert isinstance(labels, np.ndarray)
    return labels


_AXIS = {"convolution": 1, "linear": -1}
"""Of the channels, in what a layer reads and gives."""


def _ends(graph: Graph, channels: Channels, group: Group) -> Sequence[fx.Node]:
    """The layers that end the branches of a group; none if something else depends on its channels."""
    members = np.array(group.channels)
    carrying = {node for node in graph.nodes if _carries(channels, node, members)}
    found = []
    for user in dict.fromkeys(user for node in carrying for user in node.users if user not in carrying):
        labels = read_by(user, channels)
        if labels is None or not np.isin(labels, members).all() or not all(_is_sum(x, user) for x in user.users):
            return []
        found.append(user)
    return found


def _carries(channels: Channels, node: fx.Node, members: Labels) -> bool:
    axes = channels.values.get(node.name, ())
    flat = [labels for part in axes for labels in (part if isinstance(part, tuple) else (part,))]
    return any(bool(np.isin(labels, members).any()) for labels in flat)


def _is_sum(node: fx.Node, end: fx.Node) -> bool:
    """Whether a node adds what a branch gives to a value of that shape that is no constant."""
    if not is_call(node) or op_name(node) != "add":
        return False
    others = [x for x in node.all_input_nodes if x is not end]
    return len(others) == 1 and others[0].op != "get_attr" and shape_of(others[0]) == shape_of(end) == shape_of(node)
