"""Linear layers and matrix products."""

from __future__ import annotations

from torch import fx

from edgekit.graph import argument, aten
from edgekit_converters.coreml.emission import Emission
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
    """``matmul``; like PyTorch's it takes vectors."""
    return emission.op("matmul", x=node.args[0], y=node.args[1])
