"""Reductions along dimensions."""

from __future__ import annotations

import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.onnx.emission import Emission, dtype_of, static
from edgekit_converters.onnx.registry import emits

_REDUCTIONS = {
    aten.mean.dim: "ReduceMean",
    aten.sum.dim_IntList: "ReduceSum",
    aten.amax.default: "ReduceMax",
    aten.amin.default: "ReduceMin",
    aten.prod.dim_int: "ReduceProd",
}
_INT64 = ir.DataType.INT64


@emits(*_REDUCTIONS)
def reduce(emission: Emission, node: fx.Node) -> ir.Value:
    """ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceProd; over all dimensions where none is given."""
    x, given = emission.cast(node.args[0], dtype_of(node)), argument(node, "dim")
    rank = len(static(x))
    dims = sorted({d % rank for d in ([given] if isinstance(given, int) else given)}) if given not in (None, []) else range(rank)
    op_type = _REDUCTIONS[node.target]  # type: ignore[index]
    if not list(dims):
        return x
    return emission.op(op_type, [x, emission.ints(dims)], shape_of(node), {"keepdims": int(bool(argument(node, "keepdim")))})


@emits(aten.cumsum.default)
def cumsum(emission: Emission, node: fx.Node) -> ir.Value:
    """CumSum."""
    x = emission.cast(node.args[0], dtype_of(node))
    return emission.op("CumSum", [x, int(argument(node, "dim")) % max(len(static(x)), 1)], shape_of(node))


@emits(aten.argmax.default)
def argmax(emission: Emission, node: fx.Node) -> ir.Value:
    """ArgMax; over all elements where no dimension is given."""
    x, dim = emission.value(node.args[0]), argument(node, "dim")
    keep, shape = bool(argument(node, "keepdim")), shape_of(node)
    if dim is None:
        flat = emission.op("ArgMax", [emission.reshaped(x, (-1,))], (1,), {"axis": 0, "keepdims": 1}, dtype=_INT64)
        found = emission.reshaped(flat, shape)
    else:
        found = emission.op("ArgMax", [x], shape, {"axis": int(dim), "keepdims": int(keep)}, dtype=_INT64)
    return emission.cast(found, dtype_of(node))


@emits(aten.topk.default)
def topk(emission: Emission, node: fx.Node) -> tuple[ir.Value, ...]:
    """TopK: values, and their places."""
    values, places = node.meta["val"]
    attributes = {"axis": int(argument(node, "dim")), "largest": int(argument(node, "largest")), "sorted": int(argument(node, "sorted"))}
    inputs = [node.args[0], emission.ints([int(argument(node, "k"))])]
    return emission.ops("TopK", inputs, [tuple(values.shape), tuple(places.shape)], attributes, dtypes=[None, _INT64])
