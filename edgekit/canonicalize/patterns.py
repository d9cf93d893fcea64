"""Small trees of calls, matched against a graph.

A pattern is a `Hole` (matches any node, the same one wherever it recurs), a number (matches a constant of that
value in every element) or a tuple of a target and patterns of its operands. Operands of ``add`` and ``mul`` match
in either order.

    x = Hole()
    match((aten.mul.Tensor, x, (aten.sigmoid.default, x)), node)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import fx

from edgekit.graph import aten, constant_value, is_call

_COMMUTATIVE = (aten.add.Tensor, aten.mul.Tensor, aten.minimum.default, aten.maximum.default)


@dataclass(frozen=True, eq=False)
class Hole:
    """A place in a pattern that any node fits."""


def match(pattern: Any, node: Any) -> dict[Hole, fx.Node] | None:
    """What stands in the holes of `pattern` if it matches at `node`, else None."""
    return _match(pattern, node, {})


def _match(pattern: Any, node: Any, found: dict[Hole, fx.Node]) -> dict[Hole, fx.Node] | None:
    if isinstance(pattern, Hole):
        if not isinstance(node, fx.Node) or found.get(pattern, node) is not node:
            return None
        return {**found, pattern: node}
    if isinstance(pattern, int | float):
        return found if _equals(node, float(pattern)) else None
    target, *operands = pattern
    if not is_call(node, target) or len(node.args) < len(operands):
        return None
    result = _match_all(operands, node.args, found)
    return _match_all(operands, node.args[::-1], found) if result is None and target in _COMMUTATIVE else result


def _match_all(patterns: list[Any], nodes: Any, found: dict[Hole, fx.Node]) -> dict[Hole, fx.Node] | None:
    result: dict[Hole, fx.Node] | None = found
    for pattern, node in zip(patterns, nodes, strict=False):
        if result is None:
            return None
        result = _match(pattern, node, result)
    return result


def _equals(node: Any, value: float) -> bool:
    if isinstance(node, int | float):
        return math.isclose(node, value, rel_tol=1e-5, abs_tol=1e-8)
    held = constant_value(node)
    if held is None or held.numel() != 1 or not held.is_floating_point():
        return False
    return math.isclose(float(held), value, rel_tol=1e-5, abs_tol=1e-8)
