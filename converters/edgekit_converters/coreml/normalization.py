"""Normalizations that are one operator in Core ML; the others are lowered before."""

from __future__ import annotations

from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.coreml.emission import Emission
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Value


@emits(aten.layer_norm.default)
def layer_norm(emission: Emission, node: fx.Node) -> Value:
    """``layer_norm`` over the last dimensions."""
    count, rank = len(argument(node, "normalized_shape")), len(shape_of(node))
    return emission.op(
        "layer_norm",
        x=node.args[0],
        axes=list(range(rank - count, rank)),
        gamma=argument(node, "weight"),
        beta=argument(node, "bias"),
        epsilon=emission.number(argument(node, "eps")),
    )
