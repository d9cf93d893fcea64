"""Normalizations."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit_runtimes._coreml.arguments import along, axis_of, ints, number
from edgekit_runtimes._coreml.registry import op


@op
def batch_norm(
    x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: Any = 1e-5
) -> Tensor:
    """By given statistics, one a channel (axis 1)."""
    return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=number(epsilon))


@op
def instance_norm(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: Any = 1e-5) -> Tensor:
    """By the statistics of each channel of each sample."""
    axes = list(range(2, x.dim()))
    normalized = (x - x.mean(axes, keepdim=True)) / torch.sqrt(x.var(axes, correction=0, keepdim=True) + number(epsilon))
    return _scaled(normalized, *(None if v is None else along(v, x.dim(), 1) for v in (gamma, beta)))


@op
def layer_norm(x: Tensor, axes: Any = None, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: Any = 1e-5) -> Tensor:
    """By the statistics over some axes; scale and offset have the shape of these axes."""
    dims = sorted(axis_of(a, x.dim()) for a in (range(x.dim()) if axes is None else ints(axes)))
    shape = [size if i in dims else 1 for i, size in enumerate(x.shape)]
    normalized = (x - x.mean(dims, keepdim=True)) / torch.sqrt(x.var(dims, correction=0, keepdim=True) + number(epsilon))
    return _scaled(normalized, *(None if v is None else v.reshape(shape) for v in (gamma, beta)))


@op
def l2_norm(x: Tensor, epsilon: Any = 1e-6) -> Tensor:
    """Divided by the norm over the last three axes."""
    return x / torch.sqrt(x.square().sum((-3, -2, -1), keepdim=True) + number(epsilon))


def _scaled(x: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
    scaled = x if gamma is None else x * gamma
    return scaled if beta is None else scaled + beta
