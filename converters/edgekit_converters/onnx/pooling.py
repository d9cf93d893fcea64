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
    data, before = unpadded(emission, node.args[0], 2, _LEAST)
    pads = [(b + p, a + p) for (b, a), p in zip(before, pair(argument(node, "padding")), strict=True)]
    dilations = pair(argument(node, "dilation"))
    return _pool(emission, node, "MaxPool", (data, pads), {"dilations": dilations})


@emits(aten.avg_pool2d.default)
def avg_pool(emission: Emission, node: fx.Node) -> ir.Value:
    """AveragePool; where windows that count the padding also reach beyond it, a Pad goes before."""
    data, counted = emission.value(node.args[0]), bool(argument(node, "count_include_pad"))
    own = [(p, p) for p in pair(argument(node, "padding"))]
    if counted and argument(node, "ceil_mode") and any(p for p, _ in own):
        shape = static(data)
        amounts = onnx_pads([*[(0, 0)] * (len(shape) - 2), *own])
        sizes = (*shape[:-2], *(n + b + a for n, (b, a) in zip(shape[-2:], own, strict=True)))
        data, own, counted = emission.op("Pad", [data, emission.ints(amounts)], sizes), [(0, 0), (0, 0)], False
    counts = int(counted and any(p for p, _ in own))
    result = _pool(emission, node, "AveragePool", (data, own), {"count_include_pad": counts})
    divisor = argument(node, "divisor_override")
    if divisor is None:
        return result
    if not argument(node, "count_include_pad") or argument(node, "ceil_mode"):
        raise emission.refusal(node, "its divisor is fixed but its windows differ", accepted="count_include_pad=True, ceil_mode=False")
    return emission.op("Mul", [result, math.prod(pair(argument(node, "kernel_size"))) / divisor], shape_of(node))


def _pool(emission: Emission, node: fx.Node, op_type: str, operand: tuple[ir.Value, Pads], more: dict[str, Any]) -> ir.Value:
    """A pool whose windows that reach over the edge are padded there: PyTorch and ONNX do not round sizes up alike."""
    (data, pads), shape = operand, shape_of(node)
    single = len(shape) == 3
    if single:
        data, shape = emission.reshaped(data, (1, *static(data))), (1, *shape)
    kernel, spread = pair(argument(node, "kernel_size")), more.get("dilations", [1, 1])
    stride = pair(argument(node, "stride") or kernel)
    rows = zip(static(data)[2:], shape[2:], kernel, stride, spread, pads, strict=True)
    reaching = [(b, max(a, (out - 1) * s + (k - 1) * d + 1 - n - b)) for n, out, k, s, d, (b, a) in rows]
    if any(max(pads) >= k for pads, k in zip(reaching, kernel, strict=True)):  # of a dilated MaxPool; runtimes refuse that
        data, reaching = _padded(emission, data, reaching), [(0, 0), (0, 0)]
    attributes = {"kernel_shape": kernel, "strides": stride, "pads": onnx_pads(reaching), **more}
    result = emission.op(op_type, [data], shape, attributes)
    return emission.reshaped(result, shape[1:]) if single else result


def _padded(emission: Emission, data: ir.Value, pads: Pads) -> ir.Value:
    """The images with borders that no maximum notices."""
    shape = static(data)
    amounts = onnx_pads([(0, 0), (0, 0), *pads])
    sizes = (*shape[:2], *(n + b + a for n, (b, a) in zip(shape[2:], pads, strict=True)))
    return emission.op("Pad", [data, emission.ints(amounts), emission.value(_LEAST[1], data)], sizes)


def pair(numbers: Any) -> list[int]:
    """Two numbers, where PyTorch takes one for both dimensions."""
    numbers = [numbers] if isinstance(numbers, int) else list(numbers)
    return [numbers[0], numbers[-1]]
