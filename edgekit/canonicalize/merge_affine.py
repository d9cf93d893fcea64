"""Merge chains of constant additions and multiplications into at most one multiplication and one addition.

Given: ``((x - μ) * a + b) * c``, ``x / s``, with constants.
Result: ``x * (a·c) + ((b - μ·a)·c)``, ``x * (1/s)``.

Exact but for rounding. Only where the merged constant is no larger than its parts, and where the constants do
not broadcast ``x`` itself.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx

from edgekit.canonicalize.rewriting import calls, only_user
from edgekit.graph import aten, call, constant, constant_value, dtype_of, is_call, shape_of, substitute

_ADD, _SUB, _MUL, _DIV = aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor


def merge_affine(graph: fx.Graph) -> None:
    """Bring constant arithmetic into the form multiply, then add."""
    for node in calls(graph, {_ADD, _SUB, _MUL, _DIV}):
        step = _as_step(node)
        if step is not None:
            _append(node, *step)


def affine_step(node: object, target: Any) -> tuple[fx.Node, Tensor] | None:
    """Operand and constant of a call of ``add`` or ``mul`` whose constant does not broadcast the operand."""
    if not is_call(node, target):
        return None
    assert isinstance(node, fx.Node)
    for x, c in (node.args[:2], node.args[1::-1]):
        value = constant_value(c)
        if value is not None and isinstance(x, fx.Node) and constant_value(x) is None and shape_of(x) == shape_of(node):
            return x, value
    return None


def _as_step(node: fx.Node) -> tuple[Any, fx.Node, Tensor] | None:
    """The call as an addition or multiplication of a constant (in double precision), if it is one."""
    if not dtype_of(node).is_floating_point:
        return None
    for target in (_ADD, _MUL):
        if (step := affine_step(node, target)) is not None:
            return target, step[0], step[1].double()
    value = constant_value(node.args[1])
    x = node.args[0]
    if value is None or not isinstance(x, fx.Node) or shape_of(x) != shape_of(node) or node.target not in (_SUB, _DIV):
        return None
    if node.target is _SUB:
        return _ADD, x, -value.double()
    return None if bool((value == 0).any()) else (_MUL, x, 1 / value.double())


def _append(node: fx.Node, target: Any, x: fx.Node, value: Tensor) -> None:
    """Rewrite ``target(x, value)``, merged with the step that made `x` where nobody else reads that."""
    inner = None
    if only_user(x) is node:
        inner = next(((t, *s) for t in (_ADD, _MUL) if (s := affine_step(x, t)) is not None), None)
    if inner is not None and inner[0] is target:
        merged = inner[2].double() + value if target is _ADD else inner[2].double() * value
        if _no_larger(merged, inner[2], value):
            _replace(node, x, [(target, merged)], inner[1])
            return
    if inner is not None and inner[0] is _ADD and target is _MUL and _no_larger(inner[2].double() * value, inner[2], value):
        _replace_swapped(node, inner[1], value, inner[2].double() * value)
        return
    if node.target in (_SUB, _DIV):
        _replace(node, x, [(target, value)], x)


def _no_larger(merged: Tensor, *parts: Tensor) -> bool:
    return merged.numel() <= max(p.numel() for p in parts)


def _replace(node: fx.Node, like: fx.Node, steps: list[tuple[Any, Tensor]], x: fx.Node) -> None:
    for target, value in steps:
        x = call(node, target, x, constant(node, value.to(dtype_of(node)), f"{node.name}_constant"), like=like)
    replaced = next(n for n in node.all_input_nodes if constant_value(n) is None)
    substitute(node, x)
    _erase_dead(replaced)


def _erase_dead(node: fx.Node) -> None:
    """Erase what a merge left unused, at once: it would count as another user of its operand."""
    while is_call(node, _ADD, _MUL) and not node.users:
        operands = node.all_input_nodes
        node.graph.erase_node(node)
        node = next((n for n in operands if is_call(n)), operands[0])


def _replace_swapped(node: fx.Node, x: fx.Node, factor: Tensor, term: Tensor) -> None:
    """``(x + c) * f`` becomes ``x * f + c·f``; a multiplication that made `x` merges in turn."""
    if (inner := affine_step(x, _MUL)) is not None and len(x.users) == 1 and _no_larger(inner[1].double() * factor, inner[1], factor):
        x, factor = inner[0], inner[1].double() * factor
    _replace(node, node, [(_MUL, factor), (_ADD, term)], x)
