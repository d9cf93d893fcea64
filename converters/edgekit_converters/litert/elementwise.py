"""Arithmetic, element by element."""

from __future__ import annotations

import ai_edge_litert.schema_py_generated as schema
from torch import fx

from edgekit.graph import aten
from edgekit_converters.litert.emission import OP, Emission, Outcome
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.values import Value


@emits(aten.add.Tensor, integers=(INT8, INT16), fuses=True)
def add(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """ADD."""
    return _binary(emission, node, out, OP.ADD, schema.AddOptionsT(fusedActivationFunction=out.activation, potScaleInt16=False))


@emits(aten.sub.Tensor, integers=(INT8, INT16), fuses=True)
def sub(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """SUB."""
    return _binary(emission, node, out, OP.SUB, schema.SubOptionsT(fusedActivationFunction=out.activation, potScaleInt16=False))


@emits(aten.mul.Tensor, integers=(INT8, INT16), fuses=True)
def mul(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """MUL."""
    return _binary(emission, node, out, OP.MUL, schema.MulOptionsT(fusedActivationFunction=out.activation))


def _binary(emission: Emission, node: fx.Node, out: Outcome, code: int, options: object, *, share: bool = False) -> Value:
    left, right = node.args[:2]
    tensors, form = emission.aligned(out, [emission.value(left), emission.value(right)], share=share)
    return emission.op(code, tensors, out, form, options)
