"""What is left of a pruned graph takes over from what went: its weights are fitted to the whole graph's layers, one after the other.

He, Zhang and Sun 2017, "Channel pruning for accelerating very deep neural networks", sections 3.1 (least squares over the inputs that are
left) and 3.2 (inputs as the pruned layers before give them, outputs as the whole graph has them); with a ridge towards the old weights.

Given: a graph, channels to remove, and samples to run.
Result: the graph without them, with other weights and biases; labels are not needed, nothing is trained.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, fx

from edgekit.canonicalize.vocabulary import LAYERS
from edgekit.compress.channels.groups import Channels
from edgekit.compress.channels.removal import removed, selection
from edgekit.compress.cluster.fitting import Target
from edgekit.compress.cluster.moments import can_fit, moments
from edgekit.compress.cluster.reconstruction import Seen, rebias, reconstruct
from edgekit.data import Samples
from edgekit.graph import Graph, argument, constant, constant_value, constraints_of, finish, is_call, reads, shape_of

RIDGE = 0.1
"""What a change of a weight costs, in shares of the mean squared input."""

_Kept = Mapping[tuple[str, int], np.ndarray]
"""Indices that stay, by a weight's target and axis."""


def refitted(graph: Graph, channels: Channels, gone: Collection[int], samples: Samples) -> Graph:
    """Remove channels, and fit the layers that are left.

    Layers without a bias, with constraints or with a weight they share keep their weights.

    Args:
        graph: The graph `channels` was found on.
        channels: Its channels.
        gone: Numbers of those to remove.
        samples: To run.

    Raises:
        DataError: The samples do not fit the graph's inputs.
    """
    kept: _Kept = {
        (slot.target, slot.axis): np.flatnonzero(~np.isin(slot.labels, list(gone))) for slot in channels.slots if slot.key == slot.target
    }
    layers = {node.name: node for node in graph.nodes if _can_change(node) and _left(node, 0, kept)}
    found = reconstruct(graph, samples, {name: partial(_fitted, kept=kept) for name in layers}, "fitting what is left")
    whole = graph.copy()
    for node in whole.nodes:
        if node.name in layers and not _left(layers[node.name], 1, kept):
            rebias(node, found.biases[node.name])  # all that will be left of it
    result = removed(whole, channels, gone)
    for node in result.nodes:
        if node.name in layers:
            target = str(argument(layers[node.name], "weight").target)
            own = {axis: indices for (name, axis), indices in kept.items() if name == target}
            _replace(node, selection(own)(found.weights[node.name]), found.biases[node.name][torch.from_numpy(own[0])])
    finish(result.module)
    return result


def _left(layer: fx.Node, axis: int, kept: _Kept) -> int:
    """How many indices of a weight stay."""
    weight = argument(layer, "weight")
    return len(kept.get((str(weight.target), axis), range(shape_of(weight)[axis])))


def _can_change(node: fx.Node) -> bool:
    """Whether a layer can be fitted, alone and without breaking anything."""
    if not is_call(node, *LAYERS) or not can_fit(node):
        return False
    weight = argument(node, "weight")
    return reads(weight) == 1 and not constraints_of(weight) and constant_value(argument(node, "bias")) is not None


def _fitted(node: fx.Node, seen: Seen, kept: _Kept) -> Tensor:
    """The whole weight, with zeros where it reads what goes."""
    weight = constant_value(argument(node, "weight"))
    assert weight is not None
    if not _left(node, 1, kept):
        return torch.zeros_like(weight)
    products, squares = moments(node, seen)
    old = weight.reshape(products.shape).double()
    inputs = torch.from_numpy(kept.get((str(argument(node, "weight").target), 1), np.arange(weight.shape[1])))
    columns = torch.arange(old.shape[2]).reshape(weight.shape[1], -1)[inputs].flatten()
    own = old[:, :, columns]
    target = Target.fitted(own, products[:, :, columns], squares[:, columns][:, :, columns], torch.ones_like(own, dtype=torch.bool), RIDGE)
    return torch.zeros_like(weight).reshape(products.shape).index_copy_(2, columns, target.weight).reshape(weight.shape)


def _replace(node: fx.Node, weight: Tensor, bias: Tensor) -> None:
    old = argument(node, "weight")
    node.replace_input_with(old, constant(old, weight, str(old.target)))
    rebias(node, bias)
