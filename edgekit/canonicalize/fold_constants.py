"""Compute once what depends on constants only.

Given: ``w2 = permute(w, [3, 2, 0, 1])`` of a constant ``w``.
Result: ``w2`` is a constant.

Expansions are left alone where they would make the file larger (``expand`` of a small constant to a large
one): most of their users broadcast anyway, and `shrink_constants` removes them.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from edgekit.canonicalize.rewriting import overloads, sweep
from edgekit.errors import LoadError
from edgekit.graph import constant, constant_value, module_path, op_name

_EXPANSIONS = overloads("expand expand_as broadcast_to repeat tile repeat_interleave.self_int")
_LARGE = 4096
"""Elements above which an expanded constant stays an expansion."""


def fold_constants(graph: fx.Graph) -> None:
    """Replace calls on constants by constants."""
    sweep(graph)
    values: dict[fx.Node, Any] = {}
    with torch.no_grad():
        for node in graph.nodes:
            if node.op == "get_attr":
                value = constant_value(node)
                if value is not None:
                    values[node] = value
            elif _foldable(node, values):
                values[node] = _compute(node, values)
    for node, value in values.items():
        live = isinstance(value, Tensor) and any(user not in values for user in node.users)
        if node.op != "get_attr" and live:
            node.replace_all_uses_with(constant(node, value, node.name))
    sweep(graph)


def _foldable(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    if node.op != "call_function" or not all(n in values for n in node.all_input_nodes):
        return False
    if node.target is operator.getitem:
        return True
    if not isinstance(node.target, torch._ops.OpOverload) or torch.Tag.nondeterministic_seeded in node.target.tags:
        return False
    value = node.meta.get("val")
    grows = node.target in _EXPANSIONS and isinstance(value, Tensor) and value.numel() > _LARGE
    return not grows and not node.target._schema.is_mutable


def _compute(node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    assert callable(node.target)
    try:
        return node.target(*map_arg(node.args, values.__getitem__), **map_arg(node.kwargs, values.__getitem__))
    except (IndexError, RuntimeError) as error:  # a position past the end of its table: the trace, on shapes alone, did not see it
        problem = f"the model itself fails in aten.{op_name(node)}: {str(error).partition(chr(10))[0]}"
        raise LoadError(problem, module=module_path(node) or None, next_step="give inputs of a shape the model takes") from None
