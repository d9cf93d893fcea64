"""Spell every product of matrices ``linear`` where one factor is a constant weight, else ``matmul``.

Given: ``torch.addmm(b, x, w)``, ``torch.bmm(x, y)``, ``x @ w`` with a constant matrix ``w``, ``F.linear(x, y)`` with a computed ``y``.
Result: ``linear(x, wᵀ, b)``, ``matmul(x, y)``, ``linear(x, wᵀ, None)``, ``matmul(x, yᵀ)``. Operands of ``matmul`` have rank 2
    or more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from edgekit.canonicalize.elementwise import binary
from edgekit.canonicalize.rewriting import Rule, apply_rules, arguments, overloads, permuted, reshaped
from edgekit.graph import aten, call, constant, constant_value, dtype_of, shape_of


def products(graph: fx.Graph) -> None:
    """Merge the spellings of matrix products."""
    apply_rules(graph, _RULES)


def product(before: fx.Node, a: fx.Node, b: fx.Node) -> fx.Node:
    """``a @ b``: a `linear` where `b` is a constant matrix, else a `matmul` of operands of rank 2 or more."""
    weight = _matrix(b)
    if weight is not None and len(shape_of(a)) >= max(2, len(shape_of(b))):
        return call(before, aten.linear.default, a, constant(before, weight.T, str(b.target)), None)
    shape = torch.matmul(a.meta["val"], b.meta["val"]).shape
    left = reshaped(before, a, [1, *shape_of(a)]) if len(shape_of(a)) == 1 else a
    right = reshaped(before, b, [*shape_of(b), 1]) if len(shape_of(b)) == 1 else b
    return reshaped(before, call(before, aten.matmul.default, left, right), shape)


def _matrix(node: fx.Node) -> Tensor | None:
    """A constant matrix, perhaps with leading dimensions of size 1."""
    value = constant_value(node)
    if value is None or value.dim() < 2 or value.shape[:-2].numel() != 1:
        return None
    return value.reshape(value.shape[-2:])


def _product(node: fx.Node) -> fx.Node:
    a, b = node.args[:2]
    assert isinstance(a, fx.Node) and isinstance(b, fx.Node)
    return product(node, a, b)


def _linear(node: fx.Node) -> fx.Node:
    x, weight, bias = arguments(node)
    if constant_value(weight) is not None and (bias is None or constant_value(bias) is not None):
        if len(shape_of(x)) > 1:
            return call(node, aten.linear.default, x, weight, bias)
        row = reshaped(node, x, [1, *shape_of(x)])
        return reshaped(node, call(node, aten.linear.default, row, weight, bias), shape_of(node))
    result = product(node, x, permuted(node, weight, [1, 0]))
    return result if bias is None else binary(node, aten.add.Tensor, result, bias, dtype_of(node))


def _add_product(node: fx.Node) -> fx.Node:
    """``beta · c + alpha · a @ b``."""
    c, a, b, beta, alpha = arguments(node)
    return _scaled_sum(node, product(node, a, b), alpha, c, beta)


def _scaled_sum(node: fx.Node, result: fx.Node, alpha: Any, c: fx.Node, beta: Any) -> fx.Node:
    dtype = dtype_of(node)
    result = result if alpha == 1 else binary(node, aten.mul.Tensor, result, alpha, dtype)
    if beta == 0:
        return result
    c = c if beta == 1 else binary(node, aten.mul.Tensor, c, beta, dtype)
    return binary(node, aten.add.Tensor, result, c, dtype)


_RULES: dict[object, Rule] = {
    **dict.fromkeys(overloads("matmul mm bmm mv dot linalg_matmul"), _product),
    **dict.fromkeys(overloads("addmm baddbmm addmv"), _add_product),
    aten.linear.default: _linear,
}
