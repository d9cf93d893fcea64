"""A transposed convolution as a plain one, whose channels are the pixels in between.

Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?".

Given:  convolution(x, w, b, stride s, padding p, …, transposed) of one group in one or two dimensions
Result: slice(depth_to_space(convolution(x, w', b'), s)): pixel s q + r of the result takes the taps r, r + s, r + 2 s, … of the kernel
        at the inputs q, q - 1, q - 2, …, so the taps of one r are a kernel of their own; where s is 1, convolution(x, w', b) alone

Kernels that the stride does not divide are filled up with zeros. The operator stays where that would make more than twice as many
weights, and in one dimension where s is not 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, fx

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, constant_value, shape_of

MOST_GROWTH = 2.0


def _transposed(node: fx.Node) -> fx.Node | None:
    weight, bias = constant_value(argument(node, "weight")), constant_value(argument(node, "bias"))
    unknown_bias = argument(node, "bias") is not None and bias is None
    if not argument(node, "transposed") or argument(node, "groups") != 1 or weight is None or unknown_bias or weight.dim() > 4:
        return None
    weight = _spread(weight, argument(node, "dilation"))
    if set(argument(node, "stride")) == {1}:
        return _reversed(node, weight)
    return _shuffled(node, weight, bias) if weight.dim() == 4 and len(set(argument(node, "stride"))) == 1 else None


def _reversed(node: fx.Node, weight: Tensor) -> fx.Node | None:
    """Of stride 1: the kernel backwards."""
    edges = [size - 1 - p for size, p in zip(weight.shape[2:], argument(node, "padding"), strict=True)]
    if min(edges) < 0 or any(argument(node, "output_padding")):
        return None
    pen, ones = Pen(node), [1] * len(edges)
    kernel = pen.constant(weight.flip(*range(2, weight.dim())).transpose(0, 1), "weight")
    options = (ones, edges, ones, False, [0] * len(edges), 1)
    return pen(aten.convolution.default, argument(node, "input"), kernel, argument(node, "bias"), *options)


def _shuffled(node: fx.Node, weight: Tensor, bias: Tensor | None) -> fx.Node | None:
    """Of a larger stride: a kernel for each pixel in between."""
    step, padding, more = argument(node, "stride")[0], argument(node, "padding"), argument(node, "output_padding")
    kernel = weight.shape[2:]
    taps = [-(-max(k, k + extra - p) // step) for k, p, extra in zip(kernel, padding, more, strict=True)]
    if math.prod(taps) * step**2 > MOST_GROWTH * math.prod(kernel):
        return None
    pen = Pen(node)
    between = pen.constant(_kernels(weight, step, taps), "weight")
    repeated = None if bias is None else pen.constant(bias.repeat(step**2), "bias")
    options = ([1, 1], [t - 1 for t in taps], [1, 1], False, [0, 0], 1)
    result = pen(aten.convolution.default, argument(node, "input"), between, repeated, *options)
    result = pen(torch.ops.edgekit.depth_to_space.default, result, step)
    for dim, (size, start) in enumerate(zip(shape_of(node)[2:], padding, strict=True), 2):
        result = pen.slice(result, dim, start, start + size)
    return result


def _spread(weight: Tensor, dilation: Sequence[int]) -> Tensor:
    """The kernel with zeros between its taps in the place of a dilation."""
    if set(dilation) == {1}:
        return weight
    sizes = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilation, strict=True)]
    wide = weight.new_zeros(*weight.shape[:2], *sizes)
    wide[(slice(None), slice(None), *(slice(None, None, step) for step in dilation))] = weight
    return wide


def _kernels(weight: Tensor, step: int, taps: list[int]) -> Tensor:
    """(inputs, outputs, height, width) as (step² outputs, inputs, taps), the output channel running fastest."""
    ins, outs, height, width = weight.shape
    rows, columns = taps
    filled = torch.nn.functional.pad(weight, (0, columns * step - width, 0, rows * step - height))
    parted = filled.reshape(ins, outs, rows, step, columns, step).permute(3, 5, 1, 0, 2, 4)
    return parted.reshape(step**2 * outs, ins, rows, columns).flip(2, 3)


REWRITE = Rewrite((aten.convolution.default,), _transposed)
