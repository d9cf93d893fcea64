"""Spell elementwise arithmetic with a few two-operand calls whose operands are tensors of one dtype.

Given: ``y = x.subtract(1.0)``, ``y = 1 - x``, ``y = x ** 2``, ``y = F.relu6(x)``, ``y = x.masked_fill(m, 0.0)``.
Result: ``sub(x, c)`` with a 0-d constant ``c`` of `x`'s dtype, ``sub(c, x)``, ``mul(x, x)``, ``clamp(x, 0.0, 6.0)``,
    ``where(m, c, x)``. No ``alpha``; dtype promotion is an explicit ``_to_copy``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from edgekit.canonicalize.rewriting import Rule, apply_rules, arguments, broadcast, overloads
from edgekit.graph import argument, aten, call, constant, dtype_of, shape_of


def elementwise(graph: fx.Graph) -> None:
    """Merge the spellings of arithmetic, comparison and clamping."""
    apply_rules(graph, _RULES)


def operand(before: fx.Node, value: Any, dtype: torch.dtype) -> fx.Node:
    """A tensor operand of the given dtype: a scalar becomes a 0-d constant, a tensor of another dtype is cast."""
    if not isinstance(value, fx.Node):
        return constant(before, torch.tensor(value, dtype=dtype), "scalar")
    return value if dtype_of(value) == dtype else call(before, aten._to_copy.default, value, dtype=dtype)


def binary(before: fx.Node, target: Any, a: Any, b: Any, dtype: torch.dtype) -> fx.Node:
    """A two-operand call on operands of one dtype."""
    x, y = operand(before, a, dtype), operand(before, b, dtype)
    shape = broadcast(shape_of(x), shape_of(y))
    return call(before, target, x, y, val=torch.empty(shape, dtype=torch.bool if target in _COMPARISONS else dtype, device="meta"))


_COMPARISONS = overloads("gt.Tensor lt.Tensor ge.Tensor le.Tensor eq.Tensor ne.Tensor")


def _arithmetic(target: Any, swap: bool = False) -> Rule:
    def rule(node: fx.Node) -> fx.Node | None:
        dtype = dtype_of(node)
        a, b = node.args[:2] if not swap else (node.args[1], node.args[0])
        alpha: Any = node.kwargs.get("alpha", node.args[2] if len(node.args) > 2 else 1)
        if alpha != 1:
            b = binary(node, aten.mul.Tensor, b, alpha, dtype) if isinstance(b, fx.Node) else b * alpha
        elif node.target is target and all(isinstance(v, fx.Node) and dtype_of(v) is dtype for v in (a, b)):
            return None
        return binary(node, target, a, b, dtype)

    return rule


def _comparison(target: Any) -> Rule:
    def rule(node: fx.Node) -> fx.Node:
        a, b = node.args[:2]
        values = [v.meta["val"] if isinstance(v, fx.Node) else v for v in (a, b)]
        return binary(node, target, a, b, torch.result_type(*values))  # type: ignore[arg-type]

    return rule


def _logical(target: Any) -> Rule:
    """``&`` of booleans is ``logical_and``; of integers it stays what it is."""

    def rule(node: fx.Node) -> fx.Node | None:
        if dtype_of(node) is not torch.bool:
            return None
        return call(node, target, *[operand(node, a, torch.bool) for a in node.args])

    return rule


def _clamp(low: str | float | None, high: str | float | None) -> Rule:
    """Bounds given as numbers, or as names of the call's own arguments."""

    def rule(node: fx.Node) -> fx.Node | None:
        bounds = [argument(node, bound) if isinstance(bound, str) else bound for bound in (low, high)]
        if bounds == [0, None]:
            return call(node, aten.relu.default, node.args[0])
        numbers = [None if b is None else _number(node, b) for b in bounds]
        return call(node, aten.clamp.default, node.args[0], *numbers, val=node.meta["val"])

    return rule


def _number(node: fx.Node, value: Any) -> float | int:
    return float(value) if dtype_of(node).is_floating_point else int(value)


def _clamp_tensor(node: fx.Node) -> fx.Node:
    x, low, high = arguments(node)[:3] if len(arguments(node)) > 2 else (*arguments(node), None)
    if node.target is aten.clamp_max.Tensor:
        low, high = None, low
    dtype = dtype_of(node)
    x = x if low is None else binary(node, aten.maximum.default, x, low, dtype)
    return x if high is None else binary(node, aten.minimum.default, x, high, dtype)


def _square(node: fx.Node) -> fx.Node:
    return binary(node, aten.mul.Tensor, node.args[0], node.args[0], dtype_of(node))


def _pow(node: fx.Node) -> fx.Node:
    x, exponent = node.args[:2]
    dtype = dtype_of(node)

    def times(a: Any, b: Any) -> fx.Node:
        return binary(node, aten.mul.Tensor, a, b, dtype)

    powers: dict[float, Callable[[], fx.Node]] = {
        2: lambda: times(x, x),
        3: lambda: times(times(x, x), x),
        4: lambda: times(times(times(x, x), x), x),
        0.5: lambda: call(node, aten.sqrt.default, operand(node, x, dtype)),
        -0.5: lambda: call(node, aten.rsqrt.default, operand(node, x, dtype)),
        -1: lambda: binary(node, aten.div.Tensor, 1, x, dtype),
        1: lambda: operand(node, x, dtype),
    }
    if isinstance(x, fx.Node) and isinstance(exponent, int | float) and exponent in powers:
        return powers[exponent]()
    return binary(node, aten.pow.Tensor_Tensor, x, exponent, dtype)


def _reciprocal(node: fx.Node) -> fx.Node:
    return binary(node, aten.div.Tensor, 1, node.args[0], dtype_of(node))


def _div_mode(node: fx.Node) -> fx.Node | None:
    mode = argument(node, "rounding_mode") if "mode" in str(node.target) else "floor"
    if mode == "trunc" or not dtype_of(node).is_floating_point:
        return None
    quotient = binary(node, aten.div.Tensor, node.args[0], node.args[1], dtype_of(node))
    return quotient if mode is None else call(node, aten.floor.default, quotient)


def _addcmul(node: fx.Node) -> fx.Node:
    x, a, b = node.args[:3]
    dtype, factor = dtype_of(node), argument(node, "value")
    inner = aten.mul.Tensor if node.target is aten.addcmul.default else aten.div.Tensor
    product = binary(node, inner, a, b, dtype)
    product = product if factor == 1 else binary(node, aten.mul.Tensor, product, factor, dtype)
    return binary(node, aten.add.Tensor, x, product, dtype)


def _lerp(node: fx.Node) -> fx.Node:
    a, b, weight = node.args[:3]
    dtype = dtype_of(node)
    step = binary(node, aten.mul.Tensor, binary(node, aten.sub.Tensor, b, a, dtype), weight, dtype)
    return binary(node, aten.add.Tensor, a, step, dtype)


def _where(node: fx.Node) -> fx.Node:
    condition, a, b = node.args[:3]
    return call(node, aten.where.self, operand(node, condition, torch.bool), *[operand(node, v, dtype_of(node)) for v in (a, b)])


def _masked_fill(node: fx.Node) -> fx.Node:
    x, mask, value = node.args[:3]
    return call(node, aten.where.self, mask, operand(node, value, dtype_of(node)), x)


def _expm1(node: fx.Node) -> fx.Node:
    dtype = dtype_of(node)
    return binary(node, aten.sub.Tensor, call(node, aten.exp.default, operand(node, node.args[0], dtype)), 1, dtype)


def _unary(target: Any) -> Rule:
    """The same call under one name; an integer operand is cast first."""
    return lambda node: call(node, target, operand(node, node.args[0], dtype_of(node)), val=node.meta["val"])


def _both(names: str, rule: Rule) -> dict[object, Rule]:
    """The rule for each of the overloads that this PyTorch has."""
    return dict.fromkeys(overloads(names), rule)


_RULES: dict[object, Rule] = {
    **_both("add.Tensor add.Scalar", _arithmetic(aten.add.Tensor)),
    **_both("sub.Tensor sub.Scalar subtract.Tensor subtract.Scalar", _arithmetic(aten.sub.Tensor)),
    **_both("rsub.Tensor rsub.Scalar", _arithmetic(aten.sub.Tensor, swap=True)),
    **_both("mul.Tensor mul.Scalar multiply.Tensor multiply.Scalar", _arithmetic(aten.mul.Tensor)),
    **_both("div.Tensor div.Scalar divide.Tensor divide.Scalar true_divide.Tensor true_divide.Scalar", _arithmetic(aten.div.Tensor)),
    **_both("minimum min.other", _arithmetic(aten.minimum.default)),
    **_both("maximum max.other", _arithmetic(aten.maximum.default)),
    **_both("pow.Tensor_Scalar pow.Tensor_Tensor pow.Scalar", _pow),
    **_both("div.Tensor_mode div.Scalar_mode divide.Tensor_mode floor_divide floor_divide.Scalar", _div_mode),
    **_both("square", _square),
    **_both("reciprocal", _reciprocal),
    **_both("addcmul addcdiv", _addcmul),
    **_both("lerp.Scalar lerp.Tensor", _lerp),
    **_both("where.self where.Scalar where.ScalarOther where.ScalarSelf", _where),
    **_both("masked_fill.Scalar masked_fill.Tensor", _masked_fill),
    **_both("expm1", _expm1),
    **_both("clamp clip", _clamp("min", "max")),
    **_both("clamp_min", _clamp("min", None)),
    **_both("clamp_max", _clamp(None, "max")),
    **_both("hardtanh", _clamp("min_val", "max_val")),
    **_both("relu6", _clamp(0.0, 6.0)),
    **_both("clamp.Tensor clip.Tensor clamp_min.Tensor clamp_max.Tensor", _clamp_tensor),
    **_both("gt.Tensor gt.Scalar greater.Tensor greater.Scalar", _comparison(aten.gt.Tensor)),
    **_both("lt.Tensor lt.Scalar less.Tensor less.Scalar", _comparison(aten.lt.Tensor)),
    **_both("ge.Tensor ge.Scalar greater_equal.Tensor greater_equal.Scalar", _comparison(aten.ge.Tensor)),
    **_both("le.Tensor le.Scalar less_equal.Tensor less_equal.Scalar", _comparison(aten.le.Tensor)),
    **_both("eq.Tensor eq.Scalar", _comparison(aten.eq.Tensor)),
    **_both("ne.Tensor ne.Scalar not_equal.Tensor not_equal.Scalar", _comparison(aten.ne.Tensor)),
    **_both("logical_and __and__.Tensor bitwise_and.Tensor", _logical(aten.logical_and.default)),
    **_both("logical_or __or__.Tensor bitwise_or.Tensor", _logical(aten.logical_or.default)),
    **_both("logical_not bitwise_not", _logical(aten.logical_not.default)),
    **_both("exp", _unary(aten.exp.default)),
    **_both("log", _unary(aten.log.default)),
    **_both("sqrt", _unary(aten.sqrt.default)),
    **_both("rsqrt", _unary(aten.rsqrt.default)),
    **_both("sin", _unary(aten.sin.default)),
    **_both("cos", _unary(aten.cos.default)),
    **_both("sigmoid special_expit", _unary(aten.sigmoid.default)),
    **_both("tanh", _unary(aten.tanh.default)),
    **_both("erf special_erf", _unary(aten.erf.default)),
    **_both("neg negative", _unary(aten.neg.default)),
    **_both("abs absolute", _unary(aten.abs.default)),
}
