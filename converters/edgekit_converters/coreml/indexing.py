"""Picking elements by index."""

from __future__ import annotations

import operator

from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.coreml.emission import Emission
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Value


@emits(operator.getitem)
def getitem(emission: Emission, node: fx.Node) -> Value:
    """One result of an operator that has several."""
    source, index = node.args
    return emission.results[source][index]  # type: ignore[index]


@emits(aten.index_select.default)
def index_select(emission: Emission, node: fx.Node) -> Value:
    """``gather``."""
    rank = len(shape_of(node))
    return emission.op("gather", x=node.args[0], indices=node.args[2], axis=argument(node, "dim") % rank)


@emits(aten.gather.default)
def gather(emission: Emission, node: fx.Node) -> Value:
    """``gather_along_axis``, whose data must be as large as the indices beside the axis."""
    x, index = emission.written(node.args[0]), emission.value(node.args[2])
    dim = argument(node, "dim") % len(x.shape)
    if any(a != b for d, (a, b) in enumerate(zip(x.shape, index.shape, strict=True)) if d != dim):
        raise emission.refusal(
            "its indices are fewer than its data beside the dimension", accepted="equal sizes", next_step="slice the data"
        )
    return emission.op("gather_along_axis", x=x, indices=index, axis=dim)


@emits(aten.embedding.default)
def embedding(emission: Emission, node: fx.Node) -> Value:
    """``gather`` of rows."""
    return emission.op("gather", x=node.args[0], indices=emission.cast(node.args[1], "int32"), axis=0)
