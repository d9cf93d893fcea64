"""Smooth activations behind normalizations: move outlier channels into the weights that read them.

Xiao et al. 2023, "SmoothQuant: accurate and efficient post-training quantization for large language models", section 4. In transformers a
few channels of what a normalization gives are many times as large as the others, and one grid has to hold them all. Channel j is
divided by ``s_j = activation_j ** a / weight_j ** (1 - a)`` in the normalization's own scale and shift, and multiplied in the linear layers
that read it: nothing is computed in addition, and the function stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, fx

from edgekit.compress.evening import Evening
from edgekit.graph import Graph, argument, aten, constant, constant_value, finish, is_call, is_scalable, op_name, reweigh
from edgekit.recipe import Context
from edgekit.targets import Rules

NORMALIZATIONS = (aten.layer_norm.default, aten.rms_norm.default)


@dataclass(frozen=True)
class Smooth(Evening):
    """Evens out the channels behind layer norms and RMS norms for one grid. Goes before ``quantize``; changes no result in float.

    Given: a canonical graph, before lowering.
    Result: the same function with other scales, shifts and weights. A normalization stays as it is where anything but linear layers
    with weights of their own reads its result (a residual sum, as in networks that normalize after it), where a weight is clustered,
    and where the target has no such operator: what it is lowered to has its scale and shift in the linear layers anyway (LiteRT).
    Source: Xiao et al. 2023, "SmoothQuant: accurate and efficient post-training quantization for large language models", section 4.

    Attributes:
        strength: The exponent a, 0 to 1: 0 evens out the weights alone, 1 the activations.
        batch_size: Samples run at once; the result does not depend on it.
    """

    name: ClassVar[str] = "smooth"
    most: ClassVar[float] = 64.0

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The graph with other weights and the same results; as it was, with a note, if no normalization is free to be scaled.

        Raises:
            DataError: There are no calibration data, or they do not fit the model.
        """
        result = graph.copy()
        free = [n for n in result.nodes if _is_free(n)]
        found = [n for n in free if not _is_absorbed(n, context.rules)]
        if not found:
            return graph.noting(f"smooth: nothing to even out: {_ABSORBED.format(context.rules.name) if free else _NONE}")
        ranges = self.ranges(graph, context, {n.name: -1 for n in found})
        for node in found:
            weight = torch.stack([_weight(n).abs().amax(0) for n in node.users]).amax(0)
            _scale(node, self.factors(ranges[node.name], weight))
        finish(result.module)
        return result


_NONE = "linear layers alone read no normalization"
_ABSORBED = "{} computes normalizations in parts, and the linear layers that read them take in their scale and shift"


def _is_absorbed(node: fx.Node, rules: Rules) -> bool:
    """Whether lowering leaves nothing of the normalization's scale in front of what reads it."""
    return {op_name(node), "affine"} <= set(rules.lower)


def _is_free(node: fx.Node) -> bool:
    if not is_call(node, *NORMALIZATIONS) or len(argument(node, "normalized_shape")) != 1 or not node.users:
        return False
    own = [argument(node, name) for name in _parameters(node)]
    return all(p is None or constant_value(p) is not None for p in own) and all(_reads(n, node) for n in node.users)


def _reads(reader: fx.Node, value: fx.Node) -> bool:
    """Whether a linear layer with a scalable weight of its own reads the value as its input."""
    if not is_call(reader, aten.linear.default) or argument(reader, "input") is not value:
        return False
    weight = argument(reader, "weight")
    return constant_value(weight) is not None and len(weight.users) == 1 and is_scalable(weight)


def _weight(reader: fx.Node) -> Tensor:
    weight = constant_value(argument(reader, "weight"))
    assert weight is not None
    return weight


def _parameters(node: fx.Node) -> tuple[str, ...]:
    return ("weight", "bias") if is_call(node, aten.layer_norm.default) else ("weight",)


def _scale(node: fx.Node, factors: Tensor) -> None:
    arguments = [a.name for a in node.target._schema.arguments]  # type: ignore[union-attr]
    values = [argument(node, name) for name in arguments]
    for name in _parameters(node):
        old = constant_value(argument(node, name))
        if old is not None or name == "weight":
            scaled = (torch.ones_like(factors) if old is None else old) / factors
            values[arguments.index(name)] = constant(node, scaled, f"{node.name}_{name}")
    node.args, node.kwargs = tuple(values), {}
    for reader in list(node.users):
        weight = argument(reader, "weight")
        reader.update_arg(1, reweigh(reader, weight, lambda w: w * factors, f"{reader.name}_weight"))
