"""Let a linear layer read its flattened input in another order, instead of permuting the input.

Given: ``linear(reshape(permute(x, [0, 2, 3, 1]), [1, H·W·C]), w, b)``, a channels-last Flatten before a Dense.
Result: ``linear(reshape(x, [1, C·H·W]), w', b)`` with the columns of ``w`` permuted. Pointwise calls may stand between.
"""

from __future__ import annotations

from torch import fx

from edgekit.canonicalize.rewriting import calls, reshaped, source
from edgekit.canonicalize.sink_permutes import inverse
from edgekit.canonicalize.vocabulary import POINTWISE_ACTIVATION
from edgekit.graph import aten, constant, constant_value, is_call, shape_of


def absorb_flatten(graph: fx.Graph) -> None:
    """Absorb permutes before a flatten into the weights of the layers after it."""
    for flatten in calls(graph, {aten.reshape.default}):
        permute = flatten.args[0]
        if not isinstance(permute, fx.Node) or not _flattens(flatten, permute):
            continue
        layers = _layers_after(flatten)
        if not layers:
            continue
        order = tuple(permute.args[1])  # type: ignore[arg-type]
        for layer in layers:
            weight = constant_value(layer.args[1])
            assert weight is not None
            rows = weight.reshape(-1, *shape_of(permute)[1:]).permute(inverse(order)).reshape(weight.shape)
            layer.args = (layer.args[0], constant(layer, rows, str(layer.args[1].target)), *layer.args[2:])  # type: ignore[union-attr]
        flatten.replace_all_uses_with(reshaped(flatten, source(permute), shape_of(flatten)))
        graph.erase_node(flatten)


def _flattens(flatten: fx.Node, permute: fx.Node) -> bool:
    if not is_call(permute, aten.permute.default) or permute.args[1][0] != 0:  # type: ignore
        return False
    return len(shape_of(flatten)) == 2 and shape_of(flatten)[0] == shape_of(permute)[0]


def _layers_after(node: fx.Node) -> list[fx.Node]:
    """The linear layers that read `node` through pointwise activations; empty if anything else reads it."""
    layers: list[fx.Node] = []
    for user in node.users:
        if is_call(user, aten.linear.default) and user.args[0] is node and constant_value(user.args[1]) is not None:
            layers.append(user)
        elif user.target in POINTWISE_ACTIVATION and (further := _layers_after(user)):
            layers.extend(further)
        else:
            return []
    return layers
