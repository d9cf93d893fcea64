"""Products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit_runtimes._coreml.arguments import flag
from edgekit_runtimes._coreml.registry import op


@op
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``."""
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


@op
def matmul(x: Tensor, y: Tensor, transpose_x: Any = False, transpose_y: Any = False) -> Tensor:
    """Product of matrices, broadcast over leading dimensions; a vector is a row on the left and a column on the right."""
    left = x.transpose(-1, -2) if flag(transpose_x) and x.dim() > 1 else x
    right = y.transpose(-1, -2) if flag(transpose_y) and y.dim() > 1 else y
    return torch.matmul(left, right)


@op
def einsum(values: Sequence[Tensor], equation: str) -> Tensor:
    """Einstein's summation."""
    return torch.einsum(equation, *values)


@op
def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """``softmax(query @ key.T / sqrt(width) + mask) @ value``; a mask of truth values says what takes part."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return torch.softmax(scores, -1) @ value
