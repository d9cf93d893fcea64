"""A convolution of few channels that steps along its rows, as one of more channels and fewer taps.

Integer kernels take channels four at a time (Arm's dot product, x86's likewise) and pad what is missing: of a convolution over one
channel, sound or a spectrogram, three quarters of the work is zeros. Neighbouring pixels of a row are neighbours in memory, so `f` of them
are `f` channels of one pixel, for nothing, where the stride is a multiple of `f`. The sums are the same products, in another order.

Given:  convolution(x, w) of 1 channel, kernel (10, 4), stride (2, 2)
Result: convolution(reshape(pad(x)), w') of 2 channels, kernel (10, 2), stride (2, 1)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, constant_value, constraints_of, is_call, shape_of

LANES = 4
"""Channels that an integer kernel takes at a time."""
WORTH = 0.8
"""Share of the multiplications left that is worth a padding of the input."""


def _fold_width(node: fx.Node) -> fx.Node | None:
    weight = constant_value(node.args[1])
    if weight is None or constraints_of(node.args[1]) or argument(node, "transposed") or argument(node, "groups") != 1:
        return None
    if weight.dim() > 4 or set(argument(node, "dilation")) != {1}:
        return None
    factor = _factor(weight, argument(node, "stride")[-1])
    x, pads = _padding(node)
    if factor == 1 or len(shape_of(x)) != weight.dim():
        return None
    taps, stride = -(-weight.shape[-1] // factor), argument(node, "stride")[-1] // factor
    columns = (shape_of(node)[-1] - 1) * stride + taps
    behind = columns * factor - shape_of(x)[-1] - pads[0]
    if behind < 0:  # the last columns are not read
        return None
    return _folded(node, x, [pads[0], behind, *pads[2:]], _columns_as_channels(weight, taps, factor), stride)


def _factor(weight: Tensor, stride: int) -> int:
    """Neighbours to make channels of; 1 where it is not worth it."""
    channels, width = weight.shape[1], weight.shape[-1]

    def products(factor: int) -> int:
        return -(-width // factor) * -(-channels * factor // LANES) * LANES

    best = min((f for f in range(1, min(stride, width) + 1) if stride % f == 0), key=products)
    return best if products(best) <= WORTH * products(1) else 1


def _padding(node: fx.Node) -> tuple[fx.Node, list[int]]:
    """What the convolution reads before zeros are put around it, and these, last dimension first, as ``pad`` counts them."""
    x: Any = node.args[0]
    own = argument(node, "padding")
    pads = [p for p in reversed(own) for _ in range(2)]
    if not is_call(x, aten.pad.default) or argument(x, "mode") != "constant" or argument(x, "value"):
        return x, pads
    amounts = list(argument(x, "pad"))
    if len(amounts) > len(pads) or min(amounts) < 0:
        return x, pads
    amounts += [0] * (len(pads) - len(amounts))
    return x.args[0], [a + b for a, b in zip(amounts, pads, strict=True)]


def _columns_as_channels(weight: Tensor, taps: int, factor: int) -> Tensor:
    """(O, C, …, taps · factor) to (O, factor · C, …, taps)."""
    wide = torch.nn.functional.pad(weight, (0, taps * factor - weight.shape[-1]))
    split = wide.reshape(*weight.shape[:-1], taps, factor).movedim(-1, 1)
    return split.reshape(weight.shape[0], -1, *weight.shape[2:-1], taps)


def _folded(node: fx.Node, x: fx.Node, pads: list[int], weight: Tensor, stride: int) -> fx.Node:
    pen = Pen(node)
    if any(pads):
        x = pen(aten.pad.default, x, pads, "constant", 0.0)
    samples, channels, *rows, width = shape_of(x)
    factor = weight.shape[1] // channels
    split = pen.reshape(x, [samples, channels, *rows, width // factor, factor])
    moved = pen.permute(split, [0, len(rows) + 3, *range(1, len(rows) + 3)])
    folded = pen.reshape(moved, [samples, factor * channels, *rows, width // factor])
    strides, none = [*argument(node, "stride")[:-1], stride], [0] * (len(rows) + 1)
    ones = [1] * (len(rows) + 1)
    w = pen.constant(weight, "folded")
    return pen(aten.convolution.default, folded, w, node.args[2], strides, none, ones, False, none, 1)


REWRITE = Rewrite((aten.convolution.default,), _fold_width)
