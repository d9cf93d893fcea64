"""A convolution of few channels in and out, as one that makes several neighbouring results at a time.

Integer kernels take input channels four at a time and make output channels sixteen at a time (XNNPACK's matrix tiles), and pad what
is missing. A first layer of 3 channels in and 8 out leaves half of each tile empty, and visits each of its taps for 3 products. `m`
neighbouring results of a row as channels of one pixel fill the tile and read the same columns once, folded into channels likewise; in
memory both are the same bytes. In float nothing is padded to four, so this would be more work there: it is for integers only, and for
weights that are not trained any more, since copies of one would come apart.

Given:  convolution(x, w) of 3 channels to 8, kernel (3, 3), stride (2, 2), then relu
Result: unfold(relu(convolution(fold(x), w'))) of 12 channels to 16, kernel (3, 2), stride (2, 1)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.conversion.lowering.fold_width import (
    LANES,
    columns_as_channels,
    foldable,
    neighbours_as_channels,
    padded,
    padding_of,
    plain_convolution,
)
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, constant_value, dtype_of, is_call, shape_of

TILE = 16
"""Output channels that an integer kernel makes at a time."""
WITHOUT_LANES = 4 / 3
"""How much more a kernel that pads no channels may have to multiply: what it saves by visiting fewer taps (measured on a Cortex-A53)."""


@dataclass(frozen=True)
class _Row:
    """How a convolution goes along a row.

    Attributes:
        width: Of the input.
        left: Zeros before it.
        kernel: Taps.
        stride: From one result to the next.
        results: Of a row.
    """

    width: int
    left: int
    kernel: int
    stride: int
    results: int


@dataclass(frozen=True)
class _Fold:
    """`outputs` neighbours at a time.

    Attributes:
        outputs: Results of a row that become channels.
        columns: Columns of the input that become channels.
        before: Groups of columns that are zeros, in front of a row.
        behind: The same after it.
        first: Column of the kernel's first tap within its groups.
        taps: Groups of columns that a result needs.
    """

    outputs: int
    columns: int
    before: int
    behind: int
    first: int
    taps: int

    @classmethod
    def of(cls, outputs: int, row: _Row) -> _Fold | None:
        """None where rows do not divide, or their last columns are not read."""
        columns = outputs * row.stride
        before = -(-row.left // columns)
        first = before * columns - row.left
        taps = -(-(first + row.stride * (outputs - 1) + row.kernel) // columns)
        behind = row.results // outputs - 1 + taps - before - row.width // columns
        return None if row.width % columns or row.results % outputs or behind < 0 else cls(outputs, columns, before, behind, first, taps)

    def products(self, weight: Tensor, lanes: int) -> float:
        """Multiplications for one result of the original."""
        return self.taps * _tiled(self.columns * weight.shape[1], self.outputs * weight.shape[0], lanes) / self.outputs


def _fold_outputs(node: fx.Node) -> fx.Node | None:
    weight, bias = foldable(node), _bias(node)
    if weight is None or bias is None or weight.shape[1] >= LANES:
        return None
    x, pads = padding_of(node)
    row = _Row(shape_of(x)[-1], pads[0], weight.shape[-1], argument(node, "stride")[-1], shape_of(node)[-1])
    sizes = range(2, 2 * TILE // weight.shape[0] + 1)
    folds = [fold for fold in (_Fold.of(size, row) for size in sizes) if fold is not None and _pays(fold, weight)]
    if not folds:
        return None
    fold, pen, last = min(folds, key=lambda f: f.products(weight, LANES)), Pen(node), _activation(node)
    folded = padded(pen, neighbours_as_channels(pen, x, fold.columns), [fold.before, fold.behind, *pads[2:]])
    several, repeated = _several(weight, fold, row.stride), pen.constant(bias.repeat(fold.outputs), "repeated")
    result = plain_convolution(pen, folded, several, repeated, [*argument(node, "stride")[:-1], 1])
    if last is None:
        return _unfolded(pen, result, fold.outputs)
    pen = Pen(last)
    last.replace_all_uses_with(_unfolded(pen, pen(last.target, result, *last.args[1:], **last.kwargs), fold.outputs))
    return None


def _bias(node: fx.Node) -> Tensor | None:
    """Zeros if it has none; None if it is not a constant."""
    given: Any = node.args[2]
    return torch.zeros(shape_of(node)[1], dtype=dtype_of(node)) if given is None else constant_value(given)


def _pays(fold: _Fold, weight: Tensor) -> bool:
    before = {lanes: weight.shape[-1] * _tiled(weight.shape[1], weight.shape[0], lanes) for lanes in (LANES, 1)}
    return fold.products(weight, LANES) <= before[LANES] and fold.products(weight, 1) <= WITHOUT_LANES * before[1]


def _tiled(channels: int, outputs: int, lanes: int) -> int:
    return math.ceil(channels / lanes) * lanes * math.ceil(outputs / TILE) * TILE


def _activation(node: fx.Node) -> fx.Node | None:
    """What the convolution's kernel applies to its result, if that is all that is read."""
    user = next(iter(node.users))
    return user if len(node.users) == 1 and is_call(user, aten.relu.default, aten.clamp.default) else None


def _several(weight: Tensor, fold: _Fold, stride: int) -> Tensor:
    """(O, C, …, K) to (outputs · O, columns · C, …, taps): the kernel once for each result, moved on by the stride."""
    wide = weight.new_zeros(fold.outputs, *weight.shape[:-1], fold.taps * fold.columns)
    for i in range(fold.outputs):
        start = fold.first + i * stride
        wide[i, ..., start : start + weight.shape[-1]] = weight
    return columns_as_channels(wide.flatten(0, 1), fold.taps, fold.columns)


def _unfolded(pen: Pen, x: fx.Node, outputs: int) -> fx.Node:
    """(N, outputs · O, …, W) to (N, O, …, W · outputs)."""
    samples, channels, *rows, width = shape_of(x)
    split = pen.reshape(x, [samples, outputs, channels // outputs, *rows, width])
    moved = pen.permute(split, [0, 2, *range(3, len(rows) + 4), 1])
    return pen.reshape(moved, [samples, channels // outputs, *rows, width * outputs])


REWRITE = Rewrite((aten.convolution.default,), _fold_outputs)
