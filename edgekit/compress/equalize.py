"""Equalize channels before one grid has to hold them all.

A tensor's activations share one scale, so channels of small range get few steps. Between layers, channel c of a tensor may
be divided by any s_c > 0 if the layers that write it divide their weights and bias by s_c and those that read it multiply
theirs: ReLU, pooling and additions in between commute with that, and the function stays the same. With
``s_c = activation_c ** a / weight_c ** (1 - a)``, range moves from the activations' one scale into weights, whose scales are
by output channel anyway (Nagel et al. 2019, "Data-free quantization", section 4.1, for pairs of layers; Xiao et al. 2023,
"SmoothQuant", for the exponent). Here a whole residual stream is one `Space`, with all its writers and readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, fx

from edgekit.compress.channels import Space, free_spaces, groups_of, layer_weight
from edgekit.compress.evening import Evening
from edgekit.constraints import Change
from edgekit.graph import Graph, argument, constant, constant_value, finish, reweigh
from edgekit.recipe import Context


@dataclass(frozen=True)
class Equalize(Evening):
    """Scales channels so that a tensor's one grid serves them all. Goes before ``quantize``; changes no result in float.

    Given: a canonical graph with float weights, before lowering and quantization.
    Result: the same function with other weights and biases. Values whose channels something else than layers and what commutes with a
    scaling reads, and clustered weights, stay as they are.
    Source: Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.1; the exponent is that
    of Xiao et al. 2023, "SmoothQuant", section 4.

    Attributes:
        strength: The exponent a, 0 to 1: 0 evens out the weights alone, 1 the activations.
        batch_size: Samples run at once; the result does not depend on it.
    """

    name: ClassVar[str] = "equalize"
    most: ClassVar[float] = 16.0

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The graph with other weights and the same results; itself, if no channels are free to be scaled.

        Raises:
            DataError: There are no calibration data, or they do not fit the model.
        """
        result = graph.copy()
        spaces = free_spaces(result)
        if not spaces:
            return graph
        axes = {v.name: 1 for space in spaces for v in space.values}
        ranges = self.ranges(graph, context, axes)
        for space in spaces:
            _scale(space, self.factors(_fill(space, ranges), torch.stack([_input_shares(n) for n in space.readers]).amax(0)))
        finish(result.module)
        return result


def _fill(space: Space, ranges: Mapping[str, Tensor]) -> Tensor:
    """For each channel, the largest share it has in the range of a value: a value's largest channel sets its grid."""
    values = [ranges[v.name] for v in space.values]
    return torch.stack([r / r.max().clamp_min(torch.finfo(torch.float32).tiny) for r in values]).amax(0)


def _input_shares(node: fx.Node) -> Tensor:
    """For each input channel, the largest share it has in the weight range of an output channel."""
    weight = layer_weight(node)
    assert weight is not None
    largest = weight.abs().flatten(2).amax(2) if weight.dim() > 2 else weight.abs()
    share = largest / largest.amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    return share.reshape(groups_of(node), -1, share.shape[1]).amax(1).flatten()


def _scale(space: Space, factors: Tensor) -> None:
    for node in space.writers:
        bias = constant_value(argument(node, "bias"))
        _scale_weight(node, lambda w: w / factors.reshape(-1, *[1] * (w.dim() - 1)))
        if bias is not None:
            node.update_arg(2, constant(node, bias / factors, f"{node.name}_bias"))
    for node in space.readers:
        groups = groups_of(node)

        def scaled(w: Tensor, groups: int = groups) -> Tensor:
            grouped = w.reshape(groups, -1, *w.shape[1:]) * factors.reshape(groups, 1, w.shape[1], *[1] * (w.dim() - 2))
            return grouped.reshape(w.shape)

        _scale_weight(node, scaled)


def _scale_weight(node: fx.Node, change: Change) -> None:
    weight = argument(node, "weight")
    node.update_arg(1, reweigh(node, weight, change, f"{node.name}_weight"))
