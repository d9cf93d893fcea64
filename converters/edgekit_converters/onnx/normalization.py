"""Normalizations that ONNX has whole."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.onnx.emission import Emission
from edgekit_converters.onnx.registry import emits


@emits(aten.layer_norm.default)
def layer_norm(emission: Emission, node: fx.Node) -> ir.Value:
    """LayerNormalization over the last dimensions."""
    sizes = list(argument(node, "normalized_shape"))
    scale, bias = argument(node, "weight"), argument(node, "bias")
    inputs = [node.args[0], np.ones(sizes, np.float32) if scale is None else scale, *([] if bias is None else [bias])]
    attributes = {"axis": -len(sizes), "epsilon": float(argument(node, "eps"))}
    return emission.op("LayerNormalization", inputs, shape_of(node), attributes)


@emits(aten.group_norm.default)
def group_norm(emission: Emission, node: fx.Node) -> ir.Value:
    """InstanceNormalization of the groups, then each channel's scale and shift (GroupNormalization changed its meaning in opset 21)."""
    shape, groups = shape_of(node), int(argument(node, "num_groups"))
    folded = (shape[0], groups, math.prod(shape[1:]) // groups)
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    value = emission.reshaped(emission.value(node.args[0]), folded)
    value = emission.op("InstanceNormalization", [value, ones, zeros], folded, {"epsilon": float(argument(node, "eps"))})
    value = emission.reshaped(value, shape)
    for op_type, name in (("Mul", "weight"), ("Add", "bias")):
        if (given := argument(node, name)) is not None:
            value = emission.op(op_type, [value, emission.reshaped(given, (shape[1], *[1] * (len(shape) - 2)))], shape)
    return value
