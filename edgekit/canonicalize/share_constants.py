"""Keep equal constants once.

Given: two ``get_attr`` nodes of equal tensors (scalars of arithmetic, tied weights, a shared layer folded twice).
Result: one of them, at the place of the first. Small vectors are left alone: a bias belongs to its layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from edgekit.graph import constant_value

_LARGE = 1024


def share_constants(graph: fx.Graph) -> None:
    """Merge equal constants."""
    buckets: dict[Any, list[tuple[fx.Node, Tensor]]] = {}
    for node in list(graph.nodes):
        value = constant_value(node)
        if value is None or 1 < value.numel() < _LARGE:
            continue
        bucket = buckets.setdefault((value.dtype, tuple(value.shape), _sample(value)), [])
        twin = next((first for first, other in bucket if _same(value, other)), None)
        if twin is None:
            bucket.append((node, value))
        else:
            node.replace_all_uses_with(twin)
            graph.erase_node(node)


def _sample(value: Tensor) -> tuple[Any, ...]:
    """A few elements: enough that different weights land in different buckets."""
    flat = value.reshape(-1)
    return tuple(flat[:: max(1, flat.numel() // 3)][:4].tolist())


def _same(a: Tensor, b: Tensor) -> bool:
    return a.data_ptr() == b.data_ptr() or torch.equal(a, b)
