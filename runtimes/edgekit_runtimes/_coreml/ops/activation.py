"""Activations."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit_runtimes._coreml.arguments import along, integer, number, unknown
from edgekit_runtimes._coreml.registry import op


@op
def relu(x: Tensor) -> Tensor:
    """``max(x, 0)``."""
    return F.relu(x)


@op
def relu6(x: Tensor) -> Tensor:
    """``min(max(x, 0), 6)``."""
    return torch.clamp(x, 0, 6)


@op
def clamped_relu(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """``min(x, beta)`` for positive values, ``min(alpha * x, beta)`` for negative ones."""
    return torch.clamp_max(torch.where(x >= 0, x, number(alpha) * x), number(beta))


@op
def leaky_relu(x: Tensor, alpha: Tensor) -> Tensor:
    """``alpha * x`` for negative values."""
    return torch.where(x >= 0, x, number(alpha) * x)


@op
def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """``alpha * x`` for negative values, ``alpha`` one a channel (axis 1)."""
    return torch.where(x >= 0, x, along(alpha, x.dim(), 1) * x)


@op
def thresholded_relu(x: Tensor, alpha: Tensor) -> Tensor:
    """``x`` where it is at least ``alpha``, else 0."""
    return torch.where(x >= number(alpha), x, torch.zeros_like(x))


@op
def elu(x: Tensor, alpha: Tensor) -> Tensor:
    """``alpha * (exp(x) - 1)`` for negative values."""
    return torch.where(x >= 0, x, number(alpha) * torch.expm1(x))


@op
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """Exact, or by one of two approximations."""
    modes: dict[str, Callable[[Tensor], Tensor]] = {
        "EXACT": F.gelu,
        "TANH_APPROXIMATION": lambda v: F.gelu(v, approximate="tanh"),
        "SIGMOID_APPROXIMATION": lambda v: v * torch.sigmoid(1.702 * v),
    }
    if mode not in modes:
        raise unknown("mode", mode, modes)
    return modes[mode](x)


@op
def sigmoid(x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    return torch.sigmoid(x)


@op
def sigmoid_hard(x: Tensor, alpha: Tensor | float = 0.2, beta: Tensor | float = 0.5) -> Tensor:
    """``min(max(alpha * x + beta, 0), 1)``."""
    return torch.clamp(number(alpha) * x + number(beta), 0, 1)


@op
def silu(x: Tensor) -> Tensor:
    """``x * sigmoid(x)``."""
    return F.silu(x)


@op
def scaled_tanh(x: Tensor, alpha: Tensor | float = 1.0, beta: Tensor | float = 1.0) -> Tensor:
    """``alpha * tanh(beta * x)``."""
    return number(alpha) * torch.tanh(number(beta) * x)


@op
def linear_activation(x: Tensor, alpha: Tensor | float = 1.0, beta: Tensor | float = 0.0) -> Tensor:
    """``alpha * x + beta``."""
    return number(alpha) * x + number(beta)


@op
def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))``."""
    return F.softplus(x, threshold=math.inf)


@op
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """``alpha * log(1 + exp(beta * x))``, both one a channel (axis 1)."""
    a, b = (along(v, x.dim(), 1) for v in (alpha, beta))
    return a * softplus(b * x)


@op
def softsign(x: Tensor) -> Tensor:
    """``x / (1 + |x|)``."""
    return F.softsign(x)


@op
def softmax(x: Tensor, axis: Tensor | int = -1) -> Tensor:
    """``exp(x) / sum(exp(x))`` along an axis."""
    return torch.softmax(x, integer(axis))
