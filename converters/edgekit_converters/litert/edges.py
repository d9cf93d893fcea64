"""The model's edges: inputs and outputs in the dtypes the user asked for, under the user's names."""

from __future__ import annotations

from dataclasses import replace

from edgekit.errors import ConversionError
from edgekit.graph import Graph, module_path
from edgekit.plugins import Encoding
from edgekit.tensors import TensorSpec
from edgekit_converters._edges import edge_grid, grid_of_input, results
from edgekit_converters.litert.builder import TYPES
from edgekit_converters.litert.emission import Emission
from edgekit_converters.litert.layout import Layout
from edgekit_converters.litert.values import Value

_WRITTEN = {"int64": "int32", "float64": "float32"}


def read_inputs(emission: Emission, graph: Graph, encoding: Encoding) -> dict[str, int]:
    """Create the input tensors; returns them by the user's names."""
    placeholders = [n for n in graph.nodes if n.op == "placeholder"]
    found = {}
    for node, spec in zip(placeholders, graph.inputs, strict=True):
        dtype = _WRITTEN.get(spec.dtype, spec.dtype)
        grid = None
        if dtype == "float32" and encoding.input_dtype != "float32":
            dtype, grid = encoding.input_dtype, edge_grid(grid_of_input(node), encoding.input_dtype, spec, "input")
        index = emission.builder.tensor(spec.shape, dtype, grid, spec.name)
        emission.values[node] = Value(Layout.stored(spec.shape), dtype, grid, index)
        found[spec.name] = index
    return found


def write_outputs(emission: Emission, graph: Graph, encoding: Encoding) -> dict[str, int]:
    """Bring the results into logical order and the dtype asked for; returns them by the user's names."""
    found: dict[str, int] = {}
    for node, spec in zip(results(graph), graph.outputs, strict=True):
        value = emission.value(node)
        emission.path = module_path(node)
        order = tuple(range(len(spec.shape)))
        value = Value(Layout.stored(spec.shape), value.dtype, value.grid, emission.stored(value, order))
        if value.grid is not None or value.dtype == "float32":
            value = _encoded(emission, value, spec, encoding.output_dtype)
        found[spec.name] = _named(emission, value, spec.name, found)
    return found


def _encoded(emission: Emission, value: Value, spec: TensorSpec, dtype: str) -> Value:
    if dtype not in TYPES:
        raise ConversionError(f"no tensor of a .tflite file is {dtype!r}", accepted=list(TYPES))
    if dtype == "float32":
        return emission.real(value)
    return emission.on_grid(value, edge_grid(value.grid, dtype, spec, "output"))


def _named(emission: Emission, value: Value, name: str, taken: dict[str, int]) -> int:
    """The output's tensor under its name; a copy where the tensor already is an input, a constant or another output."""
    builder = emission.builder
    tensor = builder.tensors[value.tensor]
    if tensor.name or tensor.data is not None or value.tensor in taken.values():
        copy = builder.tensor(tensor.shape, tensor.dtype, tensor.grid)
        emission.copy(value.tensor, copy)
        tensor, value = builder.tensors[copy], replace(value, tensor=copy)
    builder.tensors[value.tensor] = replace(tensor, name=name)
    return value.tensor
