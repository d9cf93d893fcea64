"""The tables of one weight: k-means, plain or weighted by what errors cost; evenly spaced; or signs times a scale.

Binary: Rastegari et al. 2016, "XNOR-Net", section 3.1, equation 6: plus or minus the mean magnitude. Ternary: Li and Liu 2016, "Ternary
weight networks", section 2.2: the largest magnitudes become plus or minus their mean, the others zero; how many, is searched exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit.compress.cluster.kmeans import kmeans
from edgekit.compress.cluster.layers import Layer
from edgekit.constraints import Codebook, grouped

LEAST_COST = 1e-3
"""What an error of any element costs at least, in shares of the mean: an element the samples never met still has a value to keep."""


SIGNS = {"binary": 1, "ternary": 2}
"""Methods whose tables hold a scale and its negative (and zero), to the width of their indices."""


def codebook(layer: Layer, bits: int, channels: int | None, *, method: str = "kmeans", costs: Tensor | None = None) -> Codebook:
    """Tables for a weight.

    Args:
        layer: The weight; elements that its mask zeroes do not count.
        bits: Width of an index.
        channels: Output channels that share a table, at most; None for one table.
        method: ``uniform`` for entries evenly spaced from the least to the greatest weight, ``binary``, ``ternary``; else k-means.
        costs: What the squared error of each element costs, of the weight's shape; None for 1 each.
    """
    groups = layer.groups(channels)
    rows, weights = grouped(layer.value, layer.axis, groups), None
    if costs is not None and float(costs.mean()) > 0:
        weights = grouped(costs + LEAST_COST * costs.mean(), layer.axis, groups)
    if layer.mask is not None:
        kept = grouped(layer.mask.kept, layer.axis, groups)
        weights = kept.to(rows.dtype) if weights is None else weights.where(kept, 0.0)
    if method in SIGNS:
        tables = _signs(rows, torch.ones_like(rows) if weights is None else weights, zero=method == "ternary")
    else:
        tables = _even(rows, weights, bits) if method == "uniform" else kmeans(rows, 2**bits, weights)
    return Codebook(layer.name, bits, as_stored(tables), layer.axis, sparse=layer.mask is not None)


def as_stored(tables: Tensor) -> Tensor:
    """Ascending, of half precision."""
    return tables.sort(1)[0].half().float()


def _even(rows: Tensor, weights: Tensor | None, bits: int) -> Tensor:
    kept = torch.ones_like(rows, dtype=torch.bool) if weights is None else weights > 0
    low = rows.where(kept, torch.inf).amin(1, keepdim=True).nan_to_num(0.0, posinf=0.0)
    high = rows.where(kept, -torch.inf).amax(1, keepdim=True).nan_to_num(0.0, neginf=0.0)
    return low + (high - low) * torch.linspace(0, 1, 2**bits)


def _signs(rows: Tensor, weights: Tensor, *, zero: bool) -> Tensor:
    """The scale of least squared error for each row, as a table: [-a, a], or [-a, 0, a, a]."""
    size, order = rows.abs().sort(1, descending=True)
    weights = weights.gather(1, order)
    count, total = weights.double().cumsum(1), (weights * size).double().cumsum(1)
    saved = total.square() / count.clamp_min(torch.finfo(torch.float64).tiny)  # of all squares, by giving the k largest their mean
    last = saved.argmax(1, keepdim=True) if zero else torch.full_like(order[:, :1], rows.shape[1] - 1)
    scale = (total.gather(1, last) / count.gather(1, last).clamp_min(torch.finfo(torch.float64).tiny)).float()
    return torch.cat([-scale, 0 * scale, scale, scale] if zero else [-scale, scale], 1)
