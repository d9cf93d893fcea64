"""Inline the bodies of ``no_grad`` and ``autocast`` regions.

Given: ``y = wrap_with_set_grad_enabled(False, body, x)``, or ``wrap_with_autocast(…, body, x)``.
Result: the calls of ``body`` on ``x``. Gradients do not matter to inference; autocast regions are computed
    in float32, which only raises their precision.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from edgekit.canonicalize.lift import copy_node, is_assert
from edgekit.canonicalize.rewriting import calls

_BODY = {
    torch.ops.higher_order.wrap_with_set_grad_enabled: 1,
    torch.ops.higher_order.wrap_with_autocast: 4,
}
"""Position of the body among each region's arguments; the body's own arguments follow it."""


def inline_regions(graph: fx.Graph) -> None:
    """Inline regions until none is left (they nest)."""
    while regions := calls(graph, _BODY):
        for region in regions:
            _inline(graph, region)


def _inline(graph: fx.Graph, region: fx.Node) -> None:
    position = _BODY[region.target]  # type: ignore[index]
    attribute, operands = region.args[position], region.args[position + 1 :]
    assert isinstance(attribute, fx.Node) and graph.owning_module is not None
    body: fx.GraphModule = getattr(graph.owning_module, str(attribute.target))
    copies: dict[fx.Node, Any] = {}
    arguments = iter(operands)
    results: Any = None
    with graph.inserting_before(region):
        for node in body.graph.nodes:
            if node.op == "placeholder":
                copies[node] = next(arguments)
            elif node.op == "output":
                results = fx.node.map_arg(node.args[0], copies.__getitem__)
            elif node.op == "get_attr":
                setattr(graph.owning_module, f"{attribute.target}_{node.target}", getattr(body, str(node.target)))
                copies[node] = graph.get_attr(f"{attribute.target}_{node.target}")
                copies[node].meta.update(node.meta)
            elif not is_assert(node):
                copies[node] = copy_node(graph, node, copies)
    for user in list(region.users):
        if user.target is operator.getitem:
            user.replace_all_uses_with(results[user.args[1]])
            graph.erase_node(user)
    if region.users:
        region.replace_all_uses_with(results)
    graph.erase_node(region)
