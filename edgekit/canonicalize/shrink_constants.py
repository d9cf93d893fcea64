"""Store once what a broadcasting operand repeats.

Given: ``add(x, c)`` where the constant ``c`` is the same along some dimension, or everywhere (a mask, a filled tensor).
Result: ``add(x, c')`` with size 1 there; ``x`` has the full shape, so the sum has it too.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from edgekit.canonicalize.rewriting import broadcast, calls
from edgekit.canonicalize.vocabulary import BINARY, TERNARY
from edgekit.graph import constant, constant_value, shape_of

_MAXIMUM = 1 << 24
"""Elements above which looking is not worth it."""


def shrink_constants(graph: fx.Graph) -> None:
    """Shrink constant operands of broadcasting calls."""
    for node in calls(graph, BINARY | TERNARY):
        for operand in node.all_input_nodes:
            value = constant_value(operand)
            if value is None or not 1 < value.numel() <= _MAXIMUM:
                continue
            small = _shrunk(value)
            if small.numel() < value.numel() and _still_full(node, operand, small):
                node.replace_input_with(operand, constant(node, small, str(operand.target)))


def _shrunk(value: Tensor) -> Tensor:
    for dim, size in enumerate(value.shape):
        first = value.narrow(dim, 0, 1) if size else value
        if size > 1 and torch.equal(first.expand_as(value), value):
            value = first
    return value


def _still_full(node: fx.Node, operand: fx.Node, small: Tensor) -> bool:
    shapes = [tuple(small.shape) if a is operand else shape_of(a) for a in node.args if isinstance(a, fx.Node)]
    return broadcast(*shapes) == shape_of(node)
