"""Views, and the operators that move data without computing."""

from __future__ import annotations

from dataclasses import replace

from torch import fx

from edgekit.graph import argument, aten
from edgekit_converters.litert.emission import Emission, Outcome
from edgekit_converters.litert.layout import Layout
from edgekit_converters.litert.registry import emits
from edgekit_converters.litert.values import Value


@emits(aten.permute.default, view=True)
def permute(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """Nothing is written until a consumer needs the order."""
    value = emission.value(node.args[0])
    return value.permute([d % value.rank for d in argument(node, "dims")])


@emits(aten.reshape.default, view=True)
def reshape(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """Nothing is written where storage order allows a view; else the value is brought into logical order first."""
    value = emission.value(node.args[0])
    view = value.reshape(out.shape)
    if view is not None:
        return view
    if value.data is not None:
        value = emission.real(value)
    tensor = emission.stored(value, range(value.rank))
    straight = replace(value, layout=Layout.stored(value.shape), tensor=tensor, data=None).reshape(out.shape)
    assert straight is not None
    return straight
