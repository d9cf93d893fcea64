"""Pixel unshuffle as a depthwise convolution with one-hot weights, which takes one pixel of each block into a channel.

SPACE_TO_DEPTH orders channels differently; this keeps PyTorch's order in one operator, exactly (in integers too: the
weights are 0 and 1) and without a transpose of rank 6.

Given:  pixel_unshuffle(x, r) on (N, C, H, W)
Result: convolution(x, one-hot (C r r, 1, r, r), stride r, groups C)
"""

from __future__ import annotations

import math

import torch
from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, shape_of


def _pixel_unshuffle(node: fx.Node) -> fx.Node | None:
    x, r, pen = argument(node, "self"), int(argument(node, "downscale_factor")), Pen(node)
    shape = list(shape_of(x))
    channels = shape[-3]
    weight = torch.eye(r * r).repeat(channels, 1).reshape(channels * r * r, 1, r, r)
    bias = torch.zeros(channels * r * r)
    image = pen.reshape(x, [math.prod(shape[:-3]), *shape[-3:]])
    w, b = pen.constant(weight, "weight"), pen.constant(bias, "bias")
    blocks = pen(aten.convolution.default, image, w, b, [r, r], [0, 0], [1, 1], False, [0, 0], channels)
    return pen.reshape(blocks, list(shape_of(node)))


REWRITE = Rewrite((aten.pixel_unshuffle.default,), _pixel_unshuffle)
