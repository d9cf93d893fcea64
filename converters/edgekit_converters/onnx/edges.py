"""The model's edges: inputs and outputs in the dtypes the user asked for, under the user's names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgekit.graph import Graph, module_path
from edgekit.plugins import Encoding
from edgekit.tensors import Grid, TensorSpec
from edgekit_converters._edges import edge_grid, grid_of_input, results
from edgekit_converters.onnx.emission import Emission, static
from edgekit_converters.onnx.quantize import dequantized, quantized

BATCH = "batch"
"""Name of a batch dimension that is left open."""


def read_inputs(emission: Emission, graph: Graph, encoding: Encoding) -> dict[TensorSpec, ir.Value]:
    """Declare the inputs; returns them by what they are in the file."""
    found = {}
    placeholders = [n for n in graph.nodes if n.op == "placeholder"]
    for node, given in zip(placeholders, graph.inputs, strict=True):
        spec = TensorSpec(given.name, given.shape, {"float64": "float32"}.get(given.dtype, given.dtype))
        if spec.dtype == "float32" and encoding.input_dtype != "float32":
            grid = edge_grid(grid_of_input(node), encoding.input_dtype, spec, "input")
            spec = TensorSpec(spec.name, spec.shape, encoding.input_dtype, grid)
        value = _declared(spec)
        if spec.shape[:1] == (-1,):
            emission.open.add(value)
            spec = replace(spec, shape=(1, *spec.shape[1:]))
        found[spec] = value
        emission.path = ""
        emission.values[node] = _cast(emission, value) if spec.grid is None else _real(emission, value, spec.grid)
        if spec.grid is not None and spec.grid.dtype != "uint8":
            for rounding in node.users:  # the input lies on their grid already
                emission.values[rounding] = emission.values[node]
    return found


def write_outputs(emission: Emission, graph: Graph, encoding: Encoding) -> dict[TensorSpec, ir.Value]:
    """Give the results the dtype asked for and their names; returns them by what they are in the file."""
    found: dict[TensorSpec, ir.Value] = {}
    for node, given in zip(results(graph), graph.outputs, strict=True):
        emission.path = module_path(node)
        value, spec = emission.value(node), given
        if spec.dtype.startswith("float") and encoding.output_dtype != "float32":
            grid = edge_grid(_grid(emission, value), encoding.output_dtype, given, "output")
            value = _rounded(emission, value, grid)
            spec = TensorSpec(given.name, given.shape, encoding.output_dtype, grid)
        named = _named(emission, value, spec.name)
        assert named.dtype is not None
        if given.shape[:1] == (-1,):
            named.shape = ir.Shape([BATCH, *given.shape[1:]])
        found[TensorSpec(spec.name, static(named), _numpy_name(named), spec.grid)] = named
    return found


def _declared(spec: TensorSpec) -> ir.Value:
    dtype = ir.DataType.from_numpy(np.dtype(spec.dtype))
    shape = [BATCH if size == -1 else size for size in spec.shape]
    return ir.Value(name=spec.name, shape=ir.Shape(shape), type=ir.TensorType(dtype))


def _real(emission: Emission, value: ir.Value, grid: Grid) -> ir.Value:
    """The real numbers of an integer input; of bytes by a Cast, which TensorRT takes as images come."""
    if grid.dtype != "uint8":
        return dequantized(emission, value, grid)
    real, shape = emission.op("Cast", [value], static(value), {"to": ir.DataType.FLOAT}, dtype=ir.DataType.FLOAT), static(value)
    if grid.zero_point[0]:
        real = emission.op("Sub", [real, float(grid.zero_point[0])], shape)
    return emission.op("Mul", [real, grid.scale[0]], shape)


def _cast(emission: Emission, value: ir.Value) -> ir.Value:
    """The value between the model's edge and what computes in half precision."""
    if not emission.half or value.dtype != ir.DataType.FLOAT:
        return value
    return emission.op("Cast", [value], static(value), {"to": ir.DataType.FLOAT})


def _grid(emission: Emission, value: ir.Value) -> Grid | None:
    producer = value.producer()
    return emission.grids.get(value) if producer is not None else None


def _rounded(emission: Emission, value: ir.Value, grid: Grid) -> ir.Value:
    """The integers of a dequantized value: what was dequantized, if the dtype is right."""
    producer = value.producer()
    assert producer is not None
    source = producer.inputs[0]
    if grid.dtype != "uint8" and source is not None and not source.is_graph_input():
        return source
    return quantized(emission, value, grid)


def _named(emission: Emission, value: ir.Value, name: str) -> ir.Value:
    """The output under its name; a copy where it already is an input, a constant or another output."""
    value = _cast(emission, value)
    if value.producer() is None or value.name in emission.taken:
        value = emission.op("Identity", [value], static(value))
    emission.taken.add(name)
    value.name = name
    return value


def _numpy_name(value: ir.Value) -> str:
    assert value.dtype is not None
    return value.dtype.numpy().name
