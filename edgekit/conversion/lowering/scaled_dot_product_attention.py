"""Attention (Vaswani et al. 2017) as two matrix products around a softmax.

Given:  scaled_dot_product_attention(q, k, v, mask, is_causal, scale, enable_gqa) on (..., heads, L, E), (..., heads, S, E)
Result: matmul(softmax(matmul(scaled q, permute(k)) + mask), v)

* The scale goes into the rows of the linear that makes q where only q sees them, else it is one multiplication of q.
* A boolean or causal mask becomes a `where` over a constant, so that no huge value takes part in an addition and an
  integer grid may saturate it. A row whose keys are all masked attends to all of them (PyTorch returns zeros there).
* Grouped queries (Ainslie et al. 2023): queries that share a key head are stacked along L by a reshape; keys and values
  are not repeated.
"""

from __future__ import annotations

import torch
from torch import fx

from edgekit.conversion.lowering.query_scale import scaled_query
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, constant_value, dtype_of, is_call, shape_of

MASKED = -1e9
"""Stands for minus infinity: beside any logit a network computes its exponential is 0, and no arithmetic on it gives NaN."""


def _attention(node: fx.Node) -> fx.Node:
    query, key, value = (argument(node, name) for name in ("query", "key", "value"))
    scale, pen = argument(node, "scale"), Pen(node)
    q = scaled_query(node, query, shape_of(query)[-1] ** -0.5 if scale is None else float(scale))
    stacked = _stacked(shape_of(query), shape_of(key))
    logits = pen(aten.matmul.default, pen.reshape(q, stacked), _transposed(pen, key))
    rows = shape_of(logits)
    logits = _masked(node, pen.reshape(logits, [*shape_of(query)[:-1], rows[-1]]))
    weights = pen.reshape(pen(aten.softmax.int, logits, -1), list(rows))
    return pen.reshape(pen(aten.matmul.default, weights, value), list(shape_of(node)))


def _stacked(query: tuple[int, ...], key: tuple[int, ...]) -> list[int]:
    """The query's shape with as many heads as the key, the rest of them moved into the rows."""
    if len(query) < 3 or query[-3] in (key[-3], 1) or key[-3] == 1:
        return list(query)
    return [*query[:-3], key[-3], query[-3] // key[-3] * query[-2], query[-1]]


def _transposed(pen: Pen, key: fx.Node) -> fx.Node:
    rank = len(shape_of(key))
    order = [*range(rank - 2), rank - 1, rank - 2]
    if is_call(key, aten.permute.default):
        source, dims = key.args[0], key.args[1]
        return pen(aten.permute.default, source, [dims[i] % rank for i in order])  # type: ignore[index, operator]
    return pen(aten.permute.default, key, order)


def _masked(node: fx.Node, logits: fx.Node) -> fx.Node:
    pen, mask = Pen(node), argument(node, "attn_mask")
    if argument(node, "is_causal"):
        mask = pen.constant(torch.ones(shape_of(logits)[-2:], dtype=torch.bool).tril(), "causal")
    elif mask is not None and dtype_of(mask) != torch.bool:
        value = constant_value(mask)
        if value is None or not bool(((value == 0) | (value <= MASKED / 1e5)).all()):
            return pen.add(logits, mask)
        mask = pen.constant(value == 0, "visible")
    if mask is None:
        return logits
    visible = constant_value(mask)
    if visible is not None and bool(visible.all()):
        return logits
    return pen(aten.where.self, mask, logits, pen.number(MASKED, logits))


REWRITE = Rewrite((aten.scaled_dot_product_attention.default,), _attention)
