"""The tables of one weight: k-means, plain or weighted by what errors cost, or evenly spaced."""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit.compress.cluster.kmeans import kmeans
from edgekit.compress.cluster.layers import Layer
from edgekit.constraints import Codebook, grouped

LEAST_COST = 1e-3
"""What an error of any element costs at least, in shares of the mean: an element the samples never met still has a value to keep."""


def codebook(layer: Layer, bits: int, channels: int | None, *, uniform: bool = False, costs: Tensor | None = None) -> Codebook:
    """Tables for a weight.

    Args:
        layer: The weight; elements that its mask zeroes do not count.
        bits: Width of an index.
        channels: Output channels that share a table, at most; None for one table.
        uniform: Whether entries are evenly spaced from the least to the greatest weight.
        costs: What the squared error of each element costs, of the weight's shape, for k-means; None for 1 each.
    """
    groups = layer.groups(channels)
    rows, weights = grouped(layer.value, layer.axis, groups), None
    if costs is not None and float(costs.mean()) > 0:
        weights = grouped(costs + LEAST_COST * costs.mean(), layer.axis, groups)
    if layer.mask is not None:
        kept = grouped(layer.mask.kept, layer.axis, groups)
        weights = kept.to(rows.dtype) if weights is None else weights.where(kept, 0.0)
    tables = _even(rows, weights, bits) if uniform else kmeans(rows, 2**bits, weights)
    return Codebook(layer.name, bits, as_stored(tables), layer.axis, sparse=layer.mask is not None)


def as_stored(tables: Tensor) -> Tensor:
    """Ascending, of half precision."""
    return tables.sort(1)[0].half().float()


def _even(rows: Tensor, weights: Tensor | None, bits: int) -> Tensor:
    kept = torch.ones_like(rows, dtype=torch.bool) if weights is None else weights > 0
    low = rows.where(kept, torch.inf).amin(1, keepdim=True).nan_to_num(0.0, posinf=0.0)
    high = rows.where(kept, -torch.inf).amax(1, keepdim=True).nan_to_num(0.0, neginf=0.0)
    return low + (high - low) * torch.linspace(0, 1, 2**bits)
