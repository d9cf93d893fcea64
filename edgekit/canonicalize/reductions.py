"""Spell reductions over explicit dimensions, non-negative and sorted.

Given: ``x.mean()``, ``x.mean((-1, -2))``, ``x.max(1).values``, ``x.var(1)``, ``torch.linalg.vector_norm(x, dim=1)``.
Result: ``mean.dim(x, [0, 1, 2, 3], False)``, ``mean.dim(x, [2, 3], False)``, ``amax(x, [1], False)``, means of squares,
    ``sqrt(sum(x * x))``.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from edgekit.canonicalize.elementwise import binary, operand
from edgekit.canonicalize.rewriting import Rule, apply_rules, arguments, calls, non_negative, optional, overloads, reshaped, source
from edgekit.graph import aten, call, dtype_of, shape_of, substitute


def reductions(graph: fx.Graph) -> None:
    """Merge the spellings of reductions."""
    for node in calls(graph, overloads("max.dim min.dim")):
        _extreme_and_where(node)
    apply_rules(graph, _RULES)


def dimensions(x: fx.Node, dims: int | Sequence[int] | None) -> list[int]:
    """Reduced dimensions, non-negative and sorted; None or none at all means every one."""
    rank = len(shape_of(x))
    if dims is None or dims == []:
        return list(range(rank))
    return sorted(non_negative(d, rank) for d in ([dims] if isinstance(dims, int) else dims))


def _reduce(target: Any) -> Rule:
    def rule(node: fx.Node) -> fx.Node:
        x = source(node)
        keep = optional(node, "keepdim", False)
        cast = operand(node, x, dtype_of(node))
        dims = dimensions(x, optional(node, "dim", None))
        return call(node, target, cast, dims[0] if target is aten.prod.dim_int else dims, keep)

    return rule


def _prod(node: fx.Node) -> fx.Node:
    x = source(node)
    flat = reshaped(node, operand(node, x, dtype_of(node)), [x.meta["val"].numel()])
    return call(node, aten.prod.dim_int, flat, 0, False)


def _extreme_and_where(node: fx.Node) -> None:
    """``max(x, dim)`` gives values and positions: two calls, of which the unused one dies."""
    x, dim, keep = arguments(node)
    largest = node.target is aten.max.dim
    dims = dimensions(x, dim)
    for user in list(node.users):
        assert user.target is operator.getitem
        if user.args[1] == 0:
            new = call(user, aten.amax.default if largest else aten.amin.default, x, dims, keep)
        else:
            signed = x if largest else call(user, aten.neg.default, x)
            new = call(user, aten.argmax.default, signed, dims[0], keep)
        substitute(user, new)
    node.graph.erase_node(node)


def _argmax(node: fx.Node) -> fx.Node:
    x, dim, keep = arguments(node)
    if node.target is aten.argmin.default:
        x = call(node, aten.neg.default, x)
    if dim is None:
        return reshaped(node, call(node, aten.argmax.default, reshaped(node, x, [x.meta["val"].numel()]), 0, False), shape_of(node))
    return call(node, aten.argmax.default, x, non_negative(dim, len(shape_of(x))), keep)


def _variance(node: fx.Node) -> fx.Node:
    """The mean of squared deviations, times n / (n - correction)."""
    x = source(node)
    dims, keep = dimensions(x, optional(node, "dim", None)), optional(node, "keepdim", False)
    unbiased = optional(node, "unbiased", True)
    correction = optional(node, "correction", 1 if unbiased else 0)
    correction = 1 if correction is None else correction
    count = torch.Size(shape_of(x)[d] for d in dims).numel()
    dtype = dtype_of(node)
    deviation = binary(node, aten.sub.Tensor, x, call(node, aten.mean.dim, x, dims, True), dtype)
    result = call(node, aten.mean.dim, binary(node, aten.mul.Tensor, deviation, deviation, dtype), dims, keep)
    if correction:
        result = binary(node, aten.mul.Tensor, result, count / (count - correction), dtype)
    return call(node, aten.sqrt.default, result) if "std" in str(node.target) else result


def _vector_norm(node: fx.Node) -> fx.Node | None:
    """The 1-, 2- and maximum norm."""
    x = source(node)
    order = optional(node, "ord", optional(node, "p", 2))
    order = 2 if order is None else order
    dims, keep = dimensions(x, optional(node, "dim", None)), optional(node, "keepdim", False)
    if order == 2:
        return call(
            node, aten.sqrt.default, call(node, aten.sum.dim_IntList, binary(node, aten.mul.Tensor, x, x, dtype_of(node)), dims, keep)
        )
    if order == 1:
        return call(node, aten.sum.dim_IntList, call(node, aten.abs.default, x), dims, keep)
    return call(node, aten.amax.default, call(node, aten.abs.default, x), dims, keep) if order == float("inf") else None


def _cumsum(node: fx.Node) -> fx.Node:
    x = source(node)
    return call(node, aten.cumsum.default, operand(node, x, dtype_of(node)), non_negative(node.args[1], len(shape_of(x))))  # type: ignore[arg-type]


def _topk(node: fx.Node) -> fx.Node:
    x, k, dim, largest, in_order = arguments(node)
    return call(node, aten.topk.default, x, k, non_negative(dim, len(shape_of(x))), largest, in_order)


_RULES: dict[object, Rule] = {
    **dict.fromkeys(overloads("mean mean.dim"), _reduce(aten.mean.dim)),
    **dict.fromkeys(overloads("sum sum.dim_IntList"), _reduce(aten.sum.dim_IntList)),
    **dict.fromkeys(overloads("max amax"), _reduce(aten.amax.default)),
    **dict.fromkeys(overloads("min amin"), _reduce(aten.amin.default)),
    aten.prod.dim_int: _reduce(aten.prod.dim_int),
    aten.prod.default: _prod,
    **dict.fromkeys(overloads("argmax argmin"), _argmax),
    **dict.fromkeys(overloads("var var.dim var.correction std std.dim std.correction"), _variance),
    **dict.fromkeys(overloads("linalg_vector_norm norm.ScalarOpt_dim"), _vector_norm),
    aten.cumsum.default: _cumsum,
    aten.topk.default: _topk,
}
