"""Matrix products."""

from __future__ import annotations

import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.onnx.emission import Emission, static
from edgekit_converters.onnx.quantize import relaid
from edgekit_converters.onnx.registry import emits


@emits(aten.linear.default)
def linear(emission: Emission, node: fx.Node) -> ir.Value:
    """Gemm of a matrix; else MatMul with the weight stored as (in, out), and an Add."""
    x, weight, shape = emission.value(node.args[0]), emission.value(node.args[1]), shape_of(node)
    bias = argument(node, "bias")
    if len(static(x)) == 2:
        inputs = [x, weight, *([] if bias is None else [bias])]
        return emission.op("Gemm", inputs, shape, {"transB": 1})
    product = emission.op("MatMul", [x, relaid(emission, weight, (1, 0))], shape)
    return product if bias is None else emission.op("Add", [product, bias], shape)


@emits(aten.matmul.default)
def matmul(emission: Emission, node: fx.Node) -> ir.Value:
    """MatMul."""
    return emission.op("MatMul", list(node.args[:2]), shape_of(node))
