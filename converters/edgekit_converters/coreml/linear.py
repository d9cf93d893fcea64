"""Linear layers and matrix products."""

from __future__ import annotations

import numpy as np
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.coreml.emission import Emission, Result
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Constant, Value


@emits(aten.linear.default)
def linear(emission: Emission, node: fx.Node) -> Value:
    """``linear``; ``matmul`` and ``add`` where the weight or the bias is no constant."""
    x, weight = emission.written(node.args[0]), emission.value(node.args[1])
    bias = argument(node, "bias")
    if isinstance(weight, Constant) and (bias is None or isinstance(emission.value(bias), Constant)):
        return emission.op("linear", x=x, weight=weight, bias=bias)
    product = emission.op("matmul", x=x, y=weight, transpose_y=True)
    return product if bias is None else emission.op("add", x=product, y=bias)


@emits(aten.matmul.default)
def matmul(emission: Emission, node: fx.Node) -> Value:
    """``matmul``; a vector is a matrix of one row or column, which PyTorch drops from the result."""
    x, y = emission.value(node.args[0]), emission.value(node.args[1])
    rows = emission.reshaped(x, (1, *x.shape)) if len(x.shape) == 1 else x
    columns = emission.reshaped(y, (*y.shape, 1)) if len(y.shape) == 1 else y
    shape = (*np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2]), rows.shape[-2], columns.shape[-1])
    return emission.reshaped(emission.op("matmul", Result(shape), x=rows, y=columns), shape_of(node))
