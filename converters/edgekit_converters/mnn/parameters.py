"""What a quantized graph asks of MNN: the float graph behind it, and the grids that MNN's converter is told.

MNN takes a float model and a list of layers with the scales of their input, weight and result (its "compression parameters"). Weights
are handed over already rounded, so that rounding them again by the same scales gives the graph's integers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, fx

from edgekit.errors import ConversionError
from edgekit.graph import Graph, argument, aten, call, constant, constant_value, finish, grid_of, is_call, module_path, op_name, shape_of
from edgekit.tensors import Grid
from edgekit_converters.mnn.coding import Weight

BITS = {"int8": 8, "int7": 7, "int6": 6, "int5": 5, "int4": 4, "int3": 3, "int2": 2}
FUSED = ("relu", "clamp")
"""Activations that MNN computes with a convolution: relu, and a clamp to 0…6."""
BEFORE_OUTPUT = "__before_tr"
"""What MNN's converter adds to the name of a model's output for the tensor before its last change of layout."""


@dataclass
class Plain:
    """A graph without rounding, and what was rounded in the one it came from.

    Attributes:
        graph: Float; its weights have the values they were rounded to.
        activations: Grid of a node's result, by the node's name.
        weights: Grid of a weight, by the name of the node that reads it.
        half: Names of nodes whose weight is stored in half precision.
    """

    graph: Graph
    activations: dict[str, Grid] = field(default_factory=dict)
    weights: dict[str, Grid] = field(default_factory=dict)
    half: set[str] = field(default_factory=set)

    def known_as(self, new: fx.Node, old: fx.Node) -> None:
        """What is known of `old` holds for `new`, which has its value or its weight."""
        for table in (self.activations, self.weights):
            if old.name in table and not (table is self.weights and op_name(new) == "reshape"):
                table[new.name] = table[old.name]
        if old.name in self.half:
            self.half.add(new.name)


def plain(graph: Graph) -> Plain:
    """Take the fake-quantize nodes out of a graph."""
    found = Plain(graph.copy())
    found.graph.module.meta.pop("constraints", None)  # what is left to do changes no value, and MNN has no form for any of them
    for node in found.graph.nodes:
        grid, halved = grid_of(node), is_call(node) and op_name(node) == "fake_half"
        if grid is None and not halved:
            continue
        source = node.args[0]
        assert isinstance(source, fx.Node)
        if constant_value(source) is None:
            assert grid is not None
            _check_symmetric(grid, source)
            found.activations.setdefault(source.name, grid)
            node.replace_all_uses_with(source)
        else:
            for reader in node.users:
                found.half.update([reader.name] if halved else [])
                found.weights.update({} if grid is None else {reader.name: grid})
            node.replace_all_uses_with(_rounded(node))
        node.graph.erase_node(node)
    for node in found.graph.nodes:
        if is_call(node, aten.linear.default) and constant_value(argument(node, "weight")) is not None:
            _as_convolution(node, found)
        elif is_call(node, aten.convolution.default) and len(shape_of(node)) == 3 and constant_value(argument(node, "weight")) is not None:
            _as_plane(node, found)
    finish(found.graph.module)
    return found


def _check_symmetric(grid: Grid, node: fx.Node) -> None:
    """Measured: MNN's integer kernels give nonsense where a relu's zero point is at the end of its grid."""
    if grid.zero_point[0]:
        raise ConversionError(
            f"the result is rounded to a grid with zero point {grid.zero_point[0]}, which MNN's kernels compute wrongly",
            op=f"aten.{op_name(node)}" if is_call(node) else None,
            module=module_path(node) or None,
            accepted="zero point 0",
            next_step="quantize by the rules of target mnn",
        )


def _as_convolution(node: fx.Node, found: Plain) -> None:
    """A linear layer as the 1×1 convolution that MNN makes of it anyway, without the shape arithmetic it puts around one."""
    value = constant_value(argument(node, "weight"))
    assert value is not None
    rows, (outs, ins) = math.prod(shape_of(argument(node, "input"))[:-1]), value.shape
    _in_planes(node, found, [rows, ins, 1, 1], value.reshape(outs, ins, 1, 1), ([1, 1], [0, 0], [1, 1], False, [0, 0], 1))


def _as_plane(node: fx.Node, found: Plain) -> None:
    """A one-dimensional convolution as one of planes of height 1, which MNN makes of it too, with results of another rank."""
    value = constant_value(argument(node, "weight"))
    assert value is not None
    stride, padding, dilation, more = (argument(node, name)[0] for name in ("stride", "padding", "dilation", "output_padding"))
    batch, channels, length = shape_of(argument(node, "input"))
    options = ([1, stride], [0, padding], [1, dilation], argument(node, "transposed"), [0, more], argument(node, "groups"))
    _in_planes(node, found, [batch, channels, 1, length], value.unsqueeze(2), options)


def _in_planes(node: fx.Node, found: Plain, shape: list[int], filters: Tensor, options: tuple[Any, ...]) -> None:
    """Put a two-dimensional convolution in the place of a layer and of the activation computed with it."""
    x, last = argument(node, "input"), result_of(node, found.activations)
    wide = call(last, aten.reshape.default, x, shape, like=node)
    weight = constant(last, filters, str(argument(node, "weight").target))
    layer = call(last, aten.convolution.default, wide, weight, argument(node, "bias"), *options, like=node)
    result = layer if last is node else call(last, last.target, layer, *last.args[1:], like=last)
    narrow = call(last, aten.reshape.default, result, list(shape_of(node)), like=last)
    last.replace_all_uses_with(narrow)
    for old in dict.fromkeys((last, node)):
        old.graph.erase_node(old)
    for new, old in ((wide, x), (layer, node), (result, last), (narrow, last)):
        found.known_as(new, old)


def _rounded(node: fx.Node) -> fx.Node:
    """The constant that a fake-quantize node of a constant computes."""
    given = [constant_value(a) if isinstance(a, fx.Node) else a for a in node.args]
    return constant(node, node.target(*given), str(node.args[0]), module_path(node))  # type: ignore[operator]


def result_of(node: fx.Node, activations: Mapping[str, Grid]) -> fx.Node:
    """The node whose value a convolution writes: its own, or that of the activation MNN computes with it."""
    reader = next(iter(node.users)) if len(node.users) == 1 else None
    if reader is None or node.name in activations or not is_call(reader) or op_name(reader) not in FUSED:
        return node
    exact = op_name(reader) == "relu" or (argument(reader, "min"), argument(reader, "max")) == (0, 6)
    return reader if exact else node


def parameters(found: Plain, names: Mapping[str, str]) -> str | None:
    """MNN's compression parameters as JSON, or None where nothing is rounded.

    Args:
        found: The graph taken apart.
        names: The ONNX value that holds the result of each node, by the node's name.
    """
    layers = [layer for n in found.graph.nodes if n.name in found.weights and compressible(n) for layer in _layers(n, found, names)]
    document = {"version": "3.6.1", "mnnUuid": "edgekit", "algo": [{"type": "QUANTIZE", "quantParams": {"layer": layers}}]}
    return json.dumps(document, indent=1)


def compressible(node: fx.Node) -> bool:
    """Convolutions and linear layers; MNN's converter leaves transposed ones in float, and those it cuts into groups."""
    if op_name(node) != "convolution":
        return op_name(node) == "linear"
    groups = argument(node, "groups")
    return not argument(node, "transposed") and groups in (1, shape_of(argument(node, "input"))[1])


def _layers(node: fx.Node, found: Plain, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """A layer's parameters. MNN's converter finds them by the layer's result, which it renames where that is the model's output."""
    layer = _layer(node, found, names)
    if "output" not in layer or not any(reader.op == "output" for reader in result_of(node, found.activations).users):
        return [layer]
    (result,) = layer["output"]
    return [layer, layer | {"output": [result | {"name": result["name"] + BEFORE_OUTPUT}]}]


def rounded_weights(found: Plain, names: Mapping[str, str]) -> dict[str, Weight]:
    """The integers of each layer that is rounded, by the name of its operator in the file."""
    layers = [n for n in found.graph.nodes if n.name in found.weights and compressible(n) and n.name in names]
    return {names[n.name]: _integers(n, found.weights[n.name]) for n in layers}


def _integers(node: fx.Node, grid: Grid) -> Weight:
    value = constant_value(argument(node, "weight"))
    assert value is not None
    rows = value.reshape(value.shape[0], -1).numpy()
    scales = np.array(grid.scale, np.float32)
    if grid.block is None and len(scales) == 1:
        scales = np.repeat(scales, len(rows))
    steps = scales.reshape(len(rows), -1).repeat(rows.shape[1] * len(rows) // len(scales), 1)
    return Weight(np.rint(rows / steps).astype(np.int8), scales, BITS[grid.dtype], module_path(node))


def is_static(node: fx.Node, found: Plain) -> bool:
    """Whether a layer reads and writes integers."""
    return argument(node, "input").name in found.activations and _result_grid(node, found) is not None


def _layer(node: fx.Node, found: Plain, names: Mapping[str, str]) -> dict[str, Any]:
    weight, grid = argument(node, "weight"), found.weights[node.name]
    bits, shape = BITS[grid.dtype], shape_of(weight)
    limit = 2 ** (bits - 1) - 1
    coded: dict[str, Any] = {"name": names[node.name], "bits": bits, "asymmetric": False, "blockSize": grid.block or 0}
    result = result_of(node, found.activations)
    layer = {
        "opName": names[node.name],
        "conv": {"inputChannel": shape[1], "outputChannel": shape[0], "kernelSize": list(shape[2:]) or [1, 1]},
        "weight": [coded],
    }
    grids = (found.activations.get(argument(node, "input").name), _result_grid(node, found))
    if None in grids:
        return layer
    coded |= {"scales": list(grid.scale), "clampMin": -limit, "clampMax": limit}
    sides = zip((argument(node, "input"), result), grids, strict=True)
    given, made = (_activation(names[n.name], g) for n, g in sides if g is not None)
    return layer | {"input": [given], "output": [made]}


def _result_grid(node: fx.Node, found: Plain) -> Grid | None:
    """The grid of what a convolution writes; where MNN does not compute its activation, the grid saturates at the same bounds."""
    result = result_of(node, found.activations)
    own = found.activations.get(result.name)
    if own is not None or len(node.users) != 1:
        return own
    reader = next(iter(node.users))
    return found.activations.get(reader.name) if is_call(reader) and op_name(reader) in FUSED else None


def _activation(name: str, grid: Grid) -> dict[str, Any]:
    return {"name": name, "bits": 8, "scales": [grid.scale[0]], "zeroPoint": grid.zero_point[0], "clampMin": -128, "clampMax": 127}
