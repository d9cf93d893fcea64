"""Integer grids of weights: one symmetric scale for each output channel, or for each block of a row."""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx

from edgekit.constraints import Codebook
from edgekit.errors import ConversionError
from edgekit.graph import argument, constant_value, imposed, module_path, op_name, shape_of
from edgekit.targets import Rules

LIMIT = {bits: (1 << (bits - 1)) - 1 for bits in range(2, 9)}
"""Largest integer of a weight, by its width; the smallest is its negative (narrow range)."""

SHRINKS = tuple(1 - 0.02 * step for step in range(26))
"""Fractions of a channel's largest weight tried as the end of a narrow grid."""

STEEP_SHRINKS = tuple(1 - 0.02 * step for step in range(46))
"""The same where a grid has up to 7 steps, which clips more."""


def channel_axis(node: fx.Node, rules: Rules) -> int:
    """Axis of the canonical weight of a node along which it has its scales: the output channels, unless the rules say otherwise."""
    return rules.transposed_axis if transposed(node) else rules.weighted.get(op_name(node), 0)


def transposed(node: fx.Node) -> bool:
    """Whether a node is a transposed convolution."""
    return op_name(node) == "convolution" and bool(argument(node, "transposed"))


def checked_weight(node: fx.Node, operand: fx.Node) -> Tensor:
    """The value of a weight of a node.

    Raises:
        ConversionError: It holds NaN or infinity, which no integer grid does.
    """
    weight = constant_value(operand)
    assert weight is not None
    if not math.isfinite(float(weight.abs().amax())):
        raise ConversionError(
            "a weight is NaN or infinite, so it cannot be quantized",
            op=op_name(node),
            shapes=[shape_of(read) for read in node.all_input_nodes],
            module=module_path(node),
            next_step="check the checkpoint: training may have diverged",
        )
    return weight


def channel_scales(weight: Tensor, axis: int, bits: int) -> Tensor:
    """One scale for each index of `axis`, shape (channels,), float32.

    int8 spans the largest weight. With fewer bits a step is coarse enough for clipping to pay: the end of the grid is the
    fraction of the largest weight with the least squared error.
    """
    rows = weight.movedim(axis, 0).reshape(weight.shape[axis], -1)
    return _usable(_scales(rows, bits), 127)


def block_scales(weight: Tensor, block: int, bits: int) -> Tensor:
    """One scale for each `block` input channels of a row, shape (rows, inputs / block, 1, ...); float16 values, as files store them."""
    blocks = weight.reshape(weight.shape[0], weight.shape[1] // block, -1)
    scales = _usable(_scales(blocks.flatten(0, 1), bits), LIMIT[bits]).reshape(*blocks.shape[:2], *[1] * (weight.dim() - 2))
    return scales.half().float().clamp_min(2.0**-24)


def table_scales(weight: fx.Node, scales: Tensor, axis: int) -> Tensor:
    """The scales of a weight's channels, the same for channels that share a table: rounding then changes the table's entries alone.

    Args:
        weight: The weight's ``get_attr`` node.
        scales: Shape (channels,).
        axis: Of the channels.
    """
    codebook = imposed(weight, Codebook)
    if codebook is None or (codebook.groups > 1 and codebook.axis != axis):
        return scales
    shared = scales.reshape(codebook.groups, -1).amax(1, keepdim=True)
    return shared.expand(-1, len(scales) // codebook.groups).flatten()


def _scales(rows: Tensor, bits: int) -> Tensor:
    limit = LIMIT[bits]
    largest = rows.abs().amax(1) / limit
    if bits == 8:
        return largest
    best, least = largest, torch.full_like(largest, torch.inf)
    for shrink in SHRINKS if bits > 3 else STEEP_SHRINKS:
        steps = (largest * shrink).clamp_min(torch.finfo(torch.float32).tiny)[:, None]
        error = ((rows / steps).round().clamp(-limit, limit) * steps - rows).square().sum(1)
        best, least = torch.where(error < least, largest * shrink, best), torch.minimum(error, least)
    return best


def _usable(scales: Tensor, limit: int) -> Tensor:
    """Channels of (nearly) nothing but zeros take the widest channel's scale."""
    widest = scales.max() if scales.numel() and bool(scales.max() > 2.0**-60) else torch.tensor(1.0 / limit)
    return torch.where(scales > 2.0**-60, scales, widest)
