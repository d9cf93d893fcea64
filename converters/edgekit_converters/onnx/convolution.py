"""Convolutions: plain, grouped, depthwise, transposed; of one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.onnx.emission import Emission, static
from edgekit_converters.onnx.padding import onnx_pads, unpadded
from edgekit_converters.onnx.registry import emits


@emits(aten.convolution.default)
def convolution(emission: Emission, node: fx.Node) -> ir.Value:
    """Conv or ConvTranspose."""
    weight, transposed = emission.value(node.args[1]), bool(argument(node, "transposed"))
    spatial = len(static(weight)) - 2
    data, before = unpadded(emission, node.args[0], spatial, () if transposed else (0.0,))
    own = each(argument(node, "padding"), spatial)
    attributes = {
        "kernel_shape": list(static(weight)[2:]),
        "strides": each(argument(node, "stride"), spatial),
        "dilations": each(argument(node, "dilation"), spatial),
        "pads": onnx_pads([(b + p, a + p) for (b, a), p in zip(before, own, strict=True)]),
        "group": int(argument(node, "groups")),
    }
    if transposed:
        attributes["output_padding"] = each(argument(node, "output_padding"), spatial)
    bias = argument(node, "bias")
    inputs = [data, weight, *([] if bias is None else [bias])]
    return emission.op("ConvTranspose" if transposed else "Conv", inputs, shape_of(node), attributes)


def each(numbers: Sequence[int], count: int) -> list[int]:
    """One number a dimension, where PyTorch takes one for all."""
    return list(numbers) * count if len(numbers) == 1 else list(numbers)
