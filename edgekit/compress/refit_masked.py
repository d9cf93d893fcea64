"""What a layer keeps takes over from what was pruned of it: least squares over the weights that are left, one layer after the other.

Hassibi and Stork 1993, "Optimal brain surgeon" (the weights that are left adjust to what goes); He, Zhang and Sun 2017, "Channel pruning
for accelerating very deep neural networks", section 3.2 (inputs of the pruned graph, outputs of the whole one).
With the inputs' second moments H and the weight W* that fits the whole layer's outputs best, each element that is left takes in turn the
value of least error tr((Q - W*) H (Q - W*)ᵀ), and the mean that is still lost goes into the bias.

Given: a graph, the same with zeros and masks, and samples to run.
Result: the pruned graph with other weights and biases, and the same zeros; labels are not needed, nothing is trained.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, fx

from edgekit.canonicalize.vocabulary import LAYERS
from edgekit.compress.cluster.fitting import Target, descend
from edgekit.compress.cluster.moments import can_fit, moments
from edgekit.compress.cluster.reconstruction import Seen, rebias, reconstruct
from edgekit.constraints import Mask
from edgekit.data import Samples
from edgekit.graph import Graph, argument, constant_value, constraints_of, finish, imposed, is_call, reads, revalue

RIDGE = 0.1
"""What a change of a weight costs, in shares of the mean squared input."""

SWEEPS = 8
"""Rounds over all columns of a weight."""


def refitted(whole: Graph, pruned: Graph, samples: Samples) -> Graph:
    """Fit the layers of a pruned graph.

    Layers that share their weight, or whose weight other constraints are on, keep their weights.

    Args:
        whole: The graph as it was.
        pruned: The same nodes, with masks.
        samples: To run.

    Raises:
        DataError: The samples do not fit the graph's inputs.
    """
    layers = {node.name: node for node in pruned.nodes if _can_change(node)}
    result = pruned.copy()
    if not layers:
        return result
    found = reconstruct(whole, samples, {name: partial(_fitted, pruned=node) for name, node in layers.items()}, "fitting what is left")
    for node in result.nodes:
        if node.name in layers:
            revalue(argument(node, "weight"), found.weights[node.name])
            rebias(node, found.biases[node.name])
    finish(result.module)
    return result


def _can_change(node: fx.Node) -> bool:
    """Whether a layer was pruned and can be fitted, alone and without breaking anything."""
    if not is_call(node, *LAYERS) or not can_fit(node):
        return False
    weight = argument(node, "weight")
    return reads(weight) == 1 and len(constraints_of(weight)) == 1 and imposed(weight, Mask) is not None


def _fitted(node: fx.Node, seen: Seen, pruned: fx.Node) -> Tensor:
    """The weight of least error with the zeros of the pruned one."""
    weight, mask = constant_value(argument(node, "weight")), imposed(argument(pruned, "weight"), Mask)
    assert weight is not None and mask is not None
    products, squares = moments(node, seen)
    kept = mask.kept.reshape(products.shape)
    target = Target.fitted(weight.reshape(products.shape).double(), products, squares, kept, RIDGE)
    fitted = weight.reshape(products.shape).where(kept, 0.0)
    for _ in range(SWEEPS):
        fitted = descend(target, fitted, _free)
    return fitted.reshape(weight.shape)


def _free(values: Tensor, column: int) -> Tensor:
    """A weight may take any value."""
    return values
