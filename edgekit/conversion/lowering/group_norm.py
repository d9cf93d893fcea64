"""Group normalization (Wu and He 2018) that never leaves the image's shape, so that no layout needs a transpose.

Splitting the channels into groups by a reshape would tear a channels-last image apart. Instead the statistics of each
channel are averaged over its group by a 1x1 convolution on a 1x1 image, and spread back by another.

Given:  group_norm(x, groups, weight, bias, eps) on (N, C, H, W)
Result: add(mul(mul(d, spread(rsqrt(add(gather(mul(d, d)), eps)))), weight), bias);  d = sub(x, spread(gather(x)))
        gather(v) = convolution(mean(v over H, W), (groups, C, 1, 1) of groups / C)
        spread(v) = convolution(v, (C, groups, 1, 1) of ones)
        One group: gather is a mean over C, H, W and spread nothing. A group a channel: neither convolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, fx

from edgekit.conversion.lowering.layer_norm import scale_and_shift, standardize
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, shape_of


def _group_norm(node: fx.Node) -> fx.Node:
    x, groups, eps, pen = argument(node, "input"), int(argument(node, "num_groups")), float(argument(node, "eps")), Pen(node)
    batch, channels, *space = shape_of(x)
    image = pen.reshape(x, [batch, channels, (*space, 1)[0], math.prod(space[1:])])
    if groups in (1, channels):
        result = standardize(pen, image, [1, 2, 3] if groups == 1 else [2, 3], eps)
    else:
        gather, spread = _averaging(pen, channels, groups)
        centred = pen.sub(image, spread(gather(image)))
        variance = gather(pen.mul(centred, centred))
        result = pen.mul(centred, spread(pen(aten.rsqrt.default, pen.add(variance, eps))))
    return pen.reshape(scale_and_shift(node, result, [channels, 1, 1]), list(shape_of(node)))


def _averaging(pen: Pen, channels: int, groups: int) -> tuple[Callable[[fx.Node], fx.Node], Callable[[fx.Node], fx.Node]]:
    members = torch.eye(groups).repeat_interleave(channels // groups, dim=1)[:, :, None, None]
    average = _pointwise(pen, members * (groups / channels), "gather")
    spread = _pointwise(pen, members.transpose(0, 1).contiguous(), "spread")
    return lambda x: average(pen.mean(x, [2, 3])), spread


def _pointwise(pen: Pen, weight: Tensor, name: str) -> Callable[[fx.Node], fx.Node]:
    w, b = pen.constant(weight, name), pen.constant(torch.zeros(len(weight)), f"{name}_bias")
    return lambda x: pen(aten.convolution.default, x, w, b, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)


REWRITE = Rewrite((aten.group_norm.default,), _group_norm)
