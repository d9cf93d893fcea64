"""Attention as one operator, which Core ML has since iOS 18."""

from __future__ import annotations

import math

import numpy as np
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.coreml.emission import Emission, Result
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Constant, Value, Variable


@emits(aten.scaled_dot_product_attention.default)
def attention(emission: Emission, node: fx.Node) -> Value:
    """``scaled_dot_product_attention``; a scale that is not 1 / √width is a multiplication of the query."""
    query, key, value = (argument(node, name) for name in ("query", "key", "value"))
    emission.platform.need("scaled_dot_product_attention", module=emission.module)
    width, scale = shape_of(query)[-1], argument(node, "scale")
    q: Value = emission.written(query)
    if scale is not None and not math.isclose(scale, width**-0.5, rel_tol=1e-6):
        q = emission.op("mul", Result(shape_of(query)), x=q, y=emission.number(scale * width**0.5))
    heads = shape_of(query)[-3] if len(shape_of(query)) > 2 else 1
    k, v = (_repeated(emission, emission.written(n), heads) for n in (key, value))
    return emission.op("scaled_dot_product_attention", query=q, key=k, value=v, attn_mask=_mask(emission, node))


def _repeated(emission: Emission, x: Variable, heads: int) -> Variable:
    """Keys or values that several queries share (Ainslie et al. 2023), once for each."""
    if len(x.shape) < 4 or x.shape[-3] == heads:
        return x
    *batch, have, rows, width = x.shape
    times = heads // have
    shape = (*batch, have, 1, rows, width)
    apart = emission.op("reshape", Result(shape), x=x, shape=list(shape))
    tiled = emission.op("tile", Result((*batch, have, times, rows, width)), x=apart, reps=[*[1] * len(batch), 1, times, 1, 1])
    return emission.op("reshape", Result((*batch, heads, rows, width)), x=tiled, shape=[*batch, heads, rows, width])


def _mask(emission: Emission, node: fx.Node) -> Value | None:
    if argument(node, "is_causal"):
        rows, columns = shape_of(argument(node, "query"))[-2], shape_of(argument(node, "key"))[-2]
        return Constant(np.tril(np.ones((rows, columns), bool)), f"{node.name}_causal", emission.module)
    mask = argument(node, "attn_mask")
    return None if mask is None else emission.value(mask)
