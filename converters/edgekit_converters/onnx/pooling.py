"""Average and maximum pools."""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.onnx.emission import Emission, static
from edgekit_converters.onnx.padding import Pads, onnx_pads, unpadded
from edgekit_converters.onnx.registry import emits

_LEAST = (-math.inf, -3.4028234663852886e38)


@emits(aten.max_pool2d.default)
def max_pool(emission: Emission, node: fx.Node) -> ir.Value:
    """MaxPool, which takes in padding that no maximum notices."""
    return _pool(emission, node, "MaxPool", unpadded(emission, node.args[0], 2, _LEAST), {"dilations": pair(argument(node, "dilation"))})


@emits(aten.avg_pool2d.default)
def avg_pool(emission: Emission, node: fx.Node) -> ir.Value:
    """AveragePool."""
    data, counted = emission.value(node.args[0]), bool(argument(node, "count_include_pad"))
    result = _pool(emission, node, "AveragePool", (data, [(0, 0), (0, 0)]), {"count_include_pad": int(counted)})
    divisor = argument(node, "divisor_override")
    if divisor is None:
        return result
    if not counted and any(pair(argument(node, "padding"))):
        raise emission.refusal(node, "its divisor is fixed but its padding is not counted", accepted="count_include_pad=True")
    return emission.op("Mul", [result, math.prod(pair(argument(node, "kernel_size"))) / divisor], shape_of(node))


def _pool(emission: Emission, node: fx.Node, op_type: str, operand: tuple[ir.Value, Pads], more: dict[str, Any]) -> ir.Value:
    (data, before), shape = operand, shape_of(node)
    single = len(shape) == 3
    if single:
        data, shape = emission.reshaped(data, (1, *static(data))), (1, *shape)
    kernel, own = pair(argument(node, "kernel_size")), pair(argument(node, "padding"))
    attributes = {
        "kernel_shape": kernel,
        "strides": pair(argument(node, "stride") or kernel),
        "pads": onnx_pads([(b + p, a + p) for (b, a), p in zip(before, own, strict=True)]),
        "ceil_mode": int(argument(node, "ceil_mode")),
        **more,
    }
    result = emission.op(op_type, [data], shape, attributes)
    return emission.reshaped(result, shape[1:]) if single else result


def pair(numbers: Any) -> list[int]:
    """Two numbers, where PyTorch takes one for both dimensions."""
    numbers = [numbers] if isinstance(numbers, int) else list(numbers)
    return [numbers[0], numbers[-1]]
