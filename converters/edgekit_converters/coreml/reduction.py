"""Reductions over dimensions, and what else looks along one."""

from __future__ import annotations

from typing import Any

from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.coreml.emission import Emission
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Value

_REDUCTIONS: dict[Any, str] = {
    aten.mean.dim: "reduce_mean",
    aten.sum.dim_IntList: "reduce_sum",
    aten.amax.default: "reduce_max",
    aten.amin.default: "reduce_min",
    aten.prod.dim_int: "reduce_prod",
}


@emits(*_REDUCTIONS)
def reduce(emission: Emission, node: fx.Node) -> Value:
    """``reduce_mean``, ``reduce_sum``, ``reduce_max``, ``reduce_min``, ``reduce_prod``."""
    x = emission.cast(node.args[0], emission.dtype(node))
    rank, dims = len(x.shape), argument(node, "dim")
    axes = [dims] if isinstance(dims, int) else list(dims or range(rank))
    return emission.op(_REDUCTIONS[node.target], x=x, axes=[d % rank for d in axes], keep_dims=bool(argument(node, "keepdim")))


@emits(aten.cumsum.default)
def cumsum(emission: Emission, node: fx.Node) -> Value:
    """``cumsum``."""
    x = emission.cast(node.args[0], emission.dtype(node))
    return emission.op("cumsum", x=x, axis=argument(node, "dim") % len(x.shape))


@emits(aten.argmax.default)
def argmax(emission: Emission, node: fx.Node) -> Value:
    """``reduce_argmax``."""
    x, dim = emission.written(node.args[0]), argument(node, "dim")
    if dim is None:
        raise emission.refusal("it looks at all dimensions at once", accepted="one dimension", next_step="flatten before it")
    return emission.op("reduce_argmax", x=x, axis=dim % len(x.shape), keep_dims=bool(argument(node, "keepdim")))


@emits(aten.topk.default)
def topk(emission: Emission, node: fx.Node) -> Value:
    """``topk``; its values come first, its indices second."""
    x, dim = emission.written(node.args[0]), argument(node, "dim")
    shape = tuple(node.meta["val"][0].shape)
    found = emission.ops(
        "topk",
        [(shape, x.dtype), (shape, "int32")],
        x=x,
        k=argument(node, "k"),
        axis=dim % len(shape_of(node.args[0])),  # type: ignore[arg-type]
        ascending=not argument(node, "largest"),
    )
    emission.results[node] = found
    return found[0]
