"""Spell activations and softmax one way, with all arguments and non-negative dimensions.

Given: ``F.softmax(x, -1)``, ``F.log_softmax(x, 1)``, ``F.selu(x)``, ``F.logsigmoid(x)``.
Result: ``softmax.int(x, 2)``, ``log_softmax.int(x, 1)``, ``mul(elu(x, 1.67…), 1.05…)``, ``neg(softplus(neg(x)))``.
"""

from __future__ import annotations

from torch import fx

from edgekit.canonicalize.elementwise import binary, operand
from edgekit.canonicalize.rewriting import Rule, apply_rules, arguments, non_negative, overloads, source
from edgekit.graph import argument, aten, call, dtype_of, shape_of

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848, 1.0507009873554804934
"""Klambauer et al. 2017, "Self-Normalizing Neural Networks", section 3."""


def activations(graph: fx.Graph) -> None:
    """Merge the spellings of activations."""
    apply_rules(graph, _RULES)


def _softmax(node: fx.Node) -> fx.Node:
    x = source(node)
    logarithmic = "log_softmax" in str(node.target)
    target = aten.log_softmax.int if logarithmic else aten.softmax.int
    return call(node, target, operand(node, x, dtype_of(node)), non_negative(node.args[1], len(shape_of(x))))  # type: ignore[arg-type]


def _elu(node: fx.Node) -> fx.Node | None:
    x, alpha, scale, input_scale = arguments(node)
    if input_scale != 1:
        return None
    return _scaled_elu(node, x, alpha, scale)


def _scaled_elu(node: fx.Node, x: fx.Node, alpha: float, scale: float) -> fx.Node:
    y = call(node, aten.elu.default, x, float(alpha))
    return y if scale == 1 else binary(node, aten.mul.Tensor, y, scale, dtype_of(node))


def _selu(node: fx.Node) -> fx.Node:
    return _scaled_elu(node, source(node), _SELU_ALPHA, _SELU_SCALE)


def _log_sigmoid(node: fx.Node) -> fx.Node:
    negative = call(node, aten.neg.default, node.args[0])
    return call(node, aten.neg.default, call(node, aten.softplus.default, negative, 1.0, 20.0))


def _rrelu(node: fx.Node) -> fx.Node:
    """At inference the random slope is its mean."""
    slope = (argument(node, "lower") + argument(node, "upper")) / 2
    return call(node, aten.leaky_relu.default, node.args[0], slope)


def _leaky_relu(node: fx.Node) -> fx.Node:
    return call(node, aten.leaky_relu.default, node.args[0], float(argument(node, "negative_slope")))


def _softplus(node: fx.Node) -> fx.Node:
    x, beta, threshold = arguments(node)
    return call(node, aten.softplus.default, x, float(beta), float(threshold))


def _glu(node: fx.Node) -> fx.Node:
    x, dim = arguments(node)
    return call(node, aten.glu.default, x, non_negative(dim, len(shape_of(x))))


def _gelu(node: fx.Node) -> fx.Node:
    return call(node, aten.gelu.default, node.args[0], approximate=argument(node, "approximate"))


_RULES: dict[object, Rule] = {
    **dict.fromkeys(overloads("softmax.int special_softmax _softmax log_softmax.int special_log_softmax _log_softmax"), _softmax),
    aten.elu.default: _elu,
    aten.selu.default: _selu,
    aten.log_sigmoid.default: _log_sigmoid,
    aten.rrelu.default: _rrelu,
    aten.leaky_relu.default: _leaky_relu,
    aten.softplus.default: _softplus,
    aten.glu.default: _glu,
    aten.gelu.default: _gelu,
}
