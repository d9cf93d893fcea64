"""Comparisons and logic: results are bool."""

from __future__ import annotations

import onnx_ir as ir
import torch
from torch import fx

from edgekit.graph import aten, shape_of
from edgekit_converters.onnx.elementwise import typed
from edgekit_converters.onnx.emission import DTYPES, Emission
from edgekit_converters.onnx.registry import emits

BOOL = ir.DataType.BOOL
_COMPARISONS = {
    aten.gt.Tensor: "Greater",
    aten.lt.Tensor: "Less",
    aten.ge.Tensor: "GreaterOrEqual",
    aten.le.Tensor: "LessOrEqual",
    aten.eq.Tensor: "Equal",
    aten.ne.Tensor: "Equal",
}
_LOGIC = {aten.logical_and.default: "And", aten.logical_or.default: "Or"}


@emits(*_COMPARISONS)
def compare(emission: Emission, node: fx.Node) -> ir.Value:
    """Both operands in the dtype PyTorch would promote them to."""
    dtype = DTYPES[torch.result_type(*(x.meta["val"] if isinstance(x, fx.Node) else x for x in node.args[:2]))]  # type: ignore[arg-type]
    if dtype == BOOL and node.target not in (aten.eq.Tensor, aten.ne.Tensor):
        dtype = ir.DataType.INT32
    a, b = (typed(emission, x, dtype) for x in node.args[:2])
    result = emission.op(_COMPARISONS[node.target], [a, b], shape_of(node), dtype=BOOL)  # type: ignore[index]
    return emission.op("Not", [result], shape_of(node)) if node.target is aten.ne.Tensor else result


@emits(*_LOGIC)
def logic(emission: Emission, node: fx.Node) -> ir.Value:
    """And, Or."""
    a, b = (typed(emission, x, BOOL) for x in node.args[:2])
    return emission.op(_LOGIC[node.target], [a, b], shape_of(node))  # type: ignore[index]


@emits(aten.logical_not.default)
def logical_not(emission: Emission, node: fx.Node) -> ir.Value:
    """Not."""
    return emission.op("Not", [emission.cast(node.args[0], BOOL)], shape_of(node))
