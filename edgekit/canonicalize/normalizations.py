"""Spell normalizations one way; batch normalization at inference is a multiplication and an addition.

Given: ``F.batch_norm(x, mean, var, γ, β, training=False)``; ``F.layer_norm(x, (8,), γ, β)``; ``F.instance_norm(x)``.
Result: ``add(mul(x, a), b)`` with ``a = γ / sqrt(var + ε)`` and ``b = β - mean · a`` of shape (C, 1, 1), computed in
    double precision; ``layer_norm(x, [8], γ, β, ε)``; ``group_norm`` with a group a channel.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.canonicalize.rewriting import Rule, apply_rules, arguments, calls, optional, overloads, place, source
from edgekit.errors import LoadError
from edgekit.graph import argument, aten, call, constant, constant_value, shape_of, substitute

_WITH_STATISTICS = overloads(
    "native_layer_norm native_group_norm _native_batch_norm_legit_no_training native_batch_norm cudnn_batch_norm _native_batch_norm_legit"
)


def normalizations(graph: fx.Graph) -> None:
    """Merge the spellings of normalizations and dissolve batch normalization."""
    for node in calls(graph, _WITH_STATISTICS):
        result = _NATIVE[node.target](node)
        for user in list(node.users):
            if user.target is operator.getitem and user.args[1] == 0 and result is not None:
                substitute(user, result)
    apply_rules(graph, _RULES)


def _batch_norm(node: fx.Node) -> fx.Node:
    training = optional(node, "training", default=False) or optional(node, "train", default=False)
    mean, variance = (constant_value(argument(node, name)) for name in ("running_mean", "running_var"))
    if training or mean is None or variance is None:
        raise LoadError(
            "a batch normalization uses the statistics of its batch",
            module=place(node),
            accepted="a model in eval mode",
            next_step="model.eval()",
        )
    gamma, beta = (constant_value(argument(node, name)) for name in ("weight", "bias"))
    scale = (variance.double() + argument(node, "eps")).rsqrt()
    scale = scale if gamma is None else scale * gamma.double()
    shift = -mean.double() * scale
    shift = shift if beta is None else shift + beta.double()
    x = source(node)
    scaled = call(node, aten.mul.Tensor, x, _per_channel(node, scale, x, "scale"))
    return call(node, aten.add.Tensor, scaled, _per_channel(node, shift, x, "shift"))


def _per_channel(node: fx.Node, values: Tensor, x: fx.Node, name: str) -> fx.Node:
    rank = len(shape_of(x))
    return constant(node, values.to(x.meta["val"].dtype).reshape(-1, *[1] * (rank - 2)), f"{node.name}_{name}")


def _layer_norm(node: fx.Node) -> fx.Node:
    x, shape, gamma, beta, eps = arguments(node)[:5]
    return call(node, aten.layer_norm.default, x, list(shape), gamma, beta, eps)


def _rms_norm(node: fx.Node) -> fx.Node:
    x, shape, gamma, eps = arguments(node)
    eps = torch.finfo(x.meta["val"].dtype).eps if eps is None else eps
    return call(node, aten.rms_norm.default, x, list(shape), gamma, eps)


def _group_norm(node: fx.Node) -> fx.Node:
    x, groups, gamma, beta, eps = arguments(node)[:5]
    return call(node, aten.group_norm.default, x, groups, gamma, beta, eps)


def _native_group_norm(node: fx.Node) -> fx.Node:
    x, gamma, beta, _, _, _, groups, eps = arguments(node)
    return call(node, aten.group_norm.default, x, groups, gamma, beta, eps)


def _instance_norm(node: fx.Node) -> fx.Node:
    """Of the input's own statistics: a group a channel. Of running statistics: a batch normalization."""
    if not argument(node, "use_input_stats"):
        return _batch_norm(node)
    x, gamma, beta = (argument(node, name) for name in ("input", "weight", "bias"))
    return call(node, aten.group_norm.default, x, shape_of(x)[1], gamma, beta, argument(node, "eps"))


_NATIVE: dict[Any, Any] = {
    aten.native_layer_norm.default: _layer_norm,
    aten.native_group_norm.default: _native_group_norm,
    **dict.fromkeys(
        overloads("_native_batch_norm_legit_no_training native_batch_norm cudnn_batch_norm _native_batch_norm_legit"), _batch_norm
    ),
}
_RULES: dict[object, Rule] = {
    aten.batch_norm.default: _batch_norm,
    aten.layer_norm.default: _layer_norm,
    aten.rms_norm.default: _rms_norm,
    aten.group_norm.default: _group_norm,
    aten.instance_norm.default: _instance_norm,
}
