"""Merge reshapes, permutes and expands with the ones before them, and drop those that do nothing.

Given: ``reshape(reshape(x, a), b)``; ``permute(permute(x, p), q)``; a ``mean`` that drops dimensions, and a reshape
    that puts them back; ``add(expand(c), x)``.
Result: ``reshape(x, b)``; ``permute(x, p∘q)``; a ``mean`` that keeps them; ``add(c, x)``.
"""

from __future__ import annotations

from torch import fx

from edgekit.canonicalize.rewriting import broadcast, calls, permuted, source
from edgekit.canonicalize.vocabulary import BINARY, TERNARY
from edgekit.graph import aten, call, is_call, shape_of, substitute


def merge_moves(graph: fx.Graph) -> None:
    """Merge what only moves or repeats elements."""
    for node in calls(graph, {aten.permute.default}):
        _merge_permute(node)
    for node in calls(graph, {aten.reshape.default}):
        _merge_reshape(node)
    for node in calls(graph, BINARY | TERNARY):
        _drop_expands(node)


def _merge_permute(node: fx.Node) -> None:
    inner, order = source(node), node.args[1]
    if is_call(inner, aten.permute.default):
        substitute(node, permuted(node, source(inner), [inner.args[1][d] for d in order]))  # type: ignore


def _merge_reshape(node: fx.Node) -> None:
    x = source(node)
    while is_call(x, aten.reshape.default):
        x = source(x)
    if shape_of(x) == shape_of(node):
        node.replace_all_uses_with(x)
        node.graph.erase_node(node)
    elif _restores(node, x):
        substitute(node, call(node, x.target, x.args[0], x.args[1], True, like=x))
    else:
        node.args = (x, list(shape_of(node)))


_REDUCTIONS = (aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.amin.default)


def _restores(node: fx.Node, x: fx.Node) -> bool:
    """Whether a reshape puts back exactly the dimensions that its operand, a reduction, dropped."""
    if not is_call(x, *_REDUCTIONS) or x.args[2] or len(x.users) != 1:
        return False
    return shape_of(node) == tuple(1 if d in x.args[1] else s for d, s in enumerate(shape_of(source(x))))  # type: ignore


def _drop_expands(node: fx.Node) -> None:
    """Operands broadcast by themselves where another one has the full shape."""
    for operand in node.all_input_nodes:
        if not is_call(operand, aten.expand.default):
            continue
        small = source(operand)
        shapes = [shape_of(small) if a is operand else shape_of(a) for a in node.args if isinstance(a, fx.Node)]
        if broadcast(*shapes) == shape_of(node):
            node.replace_input_with(operand, small)
