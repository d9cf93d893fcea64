"""Pixel shuffle in the channel order of kernels, with the reordering done on weights where a convolution makes the channels.

Given:  pixel_shuffle(x, r) on (N, C r r, H, W)
Result: depth_to_space(x', r), where x' is x made by a convolution with reordered rows, past activations of single elements,
        or else index_select(x, channels)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.conversion.lowering.absorb import give, has_own_constant_weight
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, constant_value, is_call, shape_of

_ELEMENTWISE = (aten.relu.default, aten.clamp.default, aten.leaky_relu.default, aten.sigmoid.default, aten.tanh.default)


def _pixel_shuffle(node: fx.Node) -> fx.Node:
    x, r, pen = argument(node, "self"), int(argument(node, "upscale_factor")), Pen(node)
    shape = list(shape_of(x))
    image = pen.reshape(x, [math.prod(shape[:-3]), *shape[-3:]])
    channels = shape[-3] // r**2
    order = torch.arange(shape[-3]).reshape(channels, r * r).t().reshape(-1)
    if channels > 1 and not _reordered_by_producer(image, order):
        image = pen(aten.index_select.default, image, 1, pen.constant(order.to(torch.int32), "order"))
    return pen.reshape(pen(torch.ops.edgekit.depth_to_space.default, image, r), list(shape_of(node)))


def _reordered_by_producer(x: fx.Node, order: Tensor) -> bool:
    while is_call(x, *_ELEMENTWISE) and len(x.users) == 1:
        x = x.args[0]  # type: ignore[assignment]
    if len(x.users) != 1 or not is_call(x, aten.convolution.default) or argument(x, "transposed") or not has_own_constant_weight(x):
        return False
    bias = constant_value(argument(x, "bias"))
    if argument(x, "groups") != 1:
        return False
    give(x, lambda w: w[order], torch.zeros(len(order)) if bias is None else bias[order])
    return True


REWRITE = Rewrite((aten.pixel_shuffle.default,), _pixel_shuffle)
