"""Recognise activations that a framework wrote out.

Given: ``x * sigmoid(x)``; ``clamp(x + 3, 0, 6) * (1 / 6)``; ``x * hardsigmoid(x)``; ``0.5 * x * (1 + erf(x / √2))``.
Result: ``silu(x)``; ``hardsigmoid(x)``; ``hardswish(x)``; ``gelu(x)``.

Keras writes them so, and so do many PyTorch models. They must be found before constants merge with their
neighbours, or the 3 of a hard sigmoid disappears in a bias.
"""

from __future__ import annotations

import math
from typing import Any

from torch import fx

from edgekit.canonicalize.patterns import Hole, match
from edgekit.canonicalize.rewriting import sweep
from edgekit.graph import aten, call, dtype_of, shape_of, substitute

_add, _mul, _div, _tanh, _erf = aten.add.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.tanh.default, aten.erf.default

X = Hole()
_RELU6_SHIFTED = (aten.clamp.default, (_add, X, 3.0), 0.0, 6.0)
_CUBES = [(_mul, (_mul, X, X), X), (aten.pow.Tensor_Tensor, X, 3.0)]
_SQUARES = [(_mul, 0.044715, (_mul, X, X)), (_mul, (_mul, 0.044715, X), X)]
_INNER = [
    *[(_mul, math.sqrt(2 / math.pi), (_add, X, (_mul, 0.044715, cube))) for cube in _CUBES],
    *[(_mul, (_mul, X, math.sqrt(2 / math.pi)), (_add, 1.0, square)) for square in _SQUARES],
]
_ERF = [(_erf, (_div, X, math.sqrt(2))), (_erf, (_mul, X, math.sqrt(0.5)))]


def _gates(gate: Any) -> list[Any]:
    """``0.5 · x · (1 + gate)`` in the orders people write it."""
    sum_ = (_add, 1.0, gate)
    return [
        (_mul, (_mul, 0.5, X), sum_), (_mul, X, (_mul, 0.5, sum_)), (_mul, 0.5, (_mul, X, sum_)),
        (_mul, (_div, X, 2.0), sum_), (_div, (_mul, X, sum_), 2.0),
    ]  # fmt: skip


_PATTERNS: list[tuple[Any, Any, dict[str, Any]]] = [
    ((_mul, _RELU6_SHIFTED, 1 / 6), aten.hardsigmoid.default, {}),
    ((_div, _RELU6_SHIFTED, 6.0), aten.hardsigmoid.default, {}),
    ((aten.clamp.default, (_add, (_mul, X, 1 / 6), 0.5), 0.0, 1.0), aten.hardsigmoid.default, {}),
    ((aten.clamp.default, (_add, (_div, X, 6.0), 0.5), 0.0, 1.0), aten.hardsigmoid.default, {}),
    ((_mul, X, (aten.hardsigmoid.default, X)), aten.hardswish.default, {}),
    ((_div, (_mul, X, _RELU6_SHIFTED), 6.0), aten.hardswish.default, {}),
    ((_mul, (_mul, X, _RELU6_SHIFTED), 1 / 6), aten.hardswish.default, {}),
    ((_mul, X, (aten.sigmoid.default, X)), aten.silu.default, {}),
    ((_mul, X, (_tanh, (aten.softplus.default, X, 1.0))), aten.mish.default, {}),
    *[(p, aten.gelu.default, {"approximate": "none"}) for e in _ERF for p in _gates(e)],
    *[(p, aten.gelu.default, {"approximate": "tanh"}) for i in _INNER for p in _gates((_tanh, i))],
]


def recognise_activations(graph: fx.Graph) -> None:
    """Replace written-out activations by their name."""
    by_target: dict[Any, list[tuple[Any, Any, dict[str, Any]]]] = {}
    for entry in _PATTERNS:
        by_target.setdefault(entry[0][0], []).append(entry)
    for node in list(graph.nodes):
        for pattern, target, keywords in by_target.get(node.target, []):
            found = match(pattern, node)
            if found is not None and shape_of(found[X]) == shape_of(node) and dtype_of(node).is_floating_point:
                substitute(node, call(node, target, found[X], **keywords))
                break
    sweep(graph)
