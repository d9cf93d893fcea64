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
    weight = foldable(node)
    if weight is None:
        return None
    factor = _factor(weight, argument(node, "stride")[-1])
    x, pads = padding_of(node)
    if factor == 1:
        return None
    taps, stride = -(-weight.shape[-1] // factor), argument(node, "stride")[-1] // factor
    columns = (shape_of(node)[-1] - 1) * stride + taps
    behind = columns * factor - shape_of(x)[-1] - pads[0]
    if behind < 0:  # the last columns are not read
        return None
    return _folded(node, x, [pads[0], behind, *pads[2:]], columns_as_channels(weight, taps, factor), stride)


def foldable(node: fx.Node) -> Tensor | None:
    """The weight of a plain convolution over rows, whose columns can be taken apart; None of another."""
    weight = constant_value(node.args[1])
    if weight is None or constraints_of(node.args[1]) or argument(node, "transposed") or argument(node, "groups") != 1:
        return None
    whole = len(shape_of(node)) == weight.dim() <= 4 and set(argument(node, "dilation")) == {1}
    return weight if whole else None


def _factor(weight: Tensor, stride: int) -> int:
    """Neighbours to make channels of; 1 where it is not worth it."""
    channels, width = weight.shape[1], weight.shape[-1]

    def products(factor: int) -> int:
        return -(-width // factor) * -(-channels * factor // LANES) * LANES

    best = min((f for f in range(1, min(stride, width) + 1) if stride % f == 0), key=products)
    return best if products(best) <= WORTH * products(1) else 1


def padding_of(node: fx.Node) -> tuple[fx.Node, list[int]]:
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


def columns_as_channels(weight: Tensor, taps: int, factor: int) -> Tensor:
    """(O, C, …, taps · factor) to (O, factor · C, …, taps)."""
    wide = torch.nn.functional.pad(weight, (0, taps * factor - weight.shape[-1]))
    split = wide.reshape(*weight.shape[:-1], taps, factor).movedim(-1, 1)
    return split.reshape(weight.shape[0], -1, *weight.shape[2:-1], taps)


def _folded(node: fx.Node, x: fx.Node, pads: list[int], weight: Tensor, stride: int) -> fx.Node:
    pen = Pen(node)
    x = padded(pen, x, pads)
    folded = neighbours_as_channels(pen, x, weight.shape[1] // shape_of(x)[1])
    return plain_convolution(pen, folded, weight, node.args[2], [*argument(node, "stride")[:-1], stride])


def padded(pen: Pen, x: fx.Node, pads: list[int]) -> fx.Node:
    """Zeros around `x`, last dimension first; itself where there are none."""
    return pen(aten.pad.default, x, pads, "constant", 0.0) if any(pads) else x


def neighbours_as_channels(pen: Pen, x: fx.Node, factor: int) -> fx.Node:
    """(N, C, …, W) to (N, factor · C, …, W / factor): with the channels innermost in memory, the same bytes."""
    samples, channels, *rows, width = shape_of(x)
    split = pen.reshape(x, [samples, channels, *rows, width // factor, factor])
    moved = pen.permute(split, [0, len(rows) + 3, *range(1, len(rows) + 3)])
    return pen.reshape(moved, [samples, factor * channels, *rows, width // factor])


def plain_convolution(pen: Pen, x: fx.Node, weight: Tensor, bias: Any, stride: list[int]) -> fx.Node:
    """One without padding of its own, dilation or groups."""
    none, ones = [0] * len(stride), [1] * len(stride)
    return pen(aten.convolution.default, x, pen.constant(weight, "folded"), bias, stride, none, ones, False, none, 1)


REWRITE = Rewrite((aten.convolution.default,), _fold_width)
