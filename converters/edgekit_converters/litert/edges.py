"""The model's edges: inputs and outputs in the dtypes the user asked for, under the user's names."""

from __future__ import annotations

from dataclasses import replace

from torch import fx

from edgekit.errors import ConversionError
from edgekit.graph import Graph, grid_of, module_path
from edgekit.plugins import Encoding
from edgekit.tensors import Grid, TensorSpec
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
            dtype, grid = encoding.input_dtype, _edge_grid(_grid_of_input(node), encoding.input_dtype, spec, "input")
        index = emission.builder.tensor(spec.shape, dtype, grid, spec.name)
        emission.values[node] = Value(Layout.stored(spec.shape), dtype, grid, index)
        found[spec.name] = index
    return found


def write_outputs(emission: Emission, graph: Graph, encoding: Encoding) -> dict[str, int]:
    """Bring the results into logical order and the dtype asked for; returns them by the user's names."""
    flat = _flat(graph)
    found: dict[str, int] = {}
    for node, spec in zip(flat, graph.outputs, strict=True):
        value = emission.value(node)
        emission.path = module_path(node)
        order = tuple(range(len(spec.shape)))
        value = Value(Layout.stored(spec.shape), value.dtype, value.grid, emission.stored(value, order))
        if value.grid is not None or value.dtype == "float32":
            value = _encoded(emission, value, spec, encoding.output_dtype)
        found[spec.name] = _named(emission, value, spec.name, found)
    return found


def _flat(graph: Graph) -> list[fx.Node]:
    (output,) = [n for n in graph.nodes if n.op == "output"]
    results = output.args[0]
    return list(results) if isinstance(results, (list, tuple)) else [results]  # type: ignore[arg-type,list-item]


def _grid_of_input(node: fx.Node) -> Grid | None:
    """The one grid all users of an input round it to, else None."""
    grids = {grid_of(user) for user in node.users}
    return grids.pop() if len(grids) == 1 else None


def _edge_grid(grid: Grid | None, dtype: str, spec: TensorSpec, side: str) -> Grid:
    if grid is None:
        raise ConversionError(
            f"{side} {spec.name!r} was asked for as {dtype}, but the model keeps it in float",
            accepted="float32",
            next_step=f"quantize with a static scheme (w8a8), or ask for {side}_dtype float32",
        )
    if grid.dtype == dtype:
        return grid
    if (grid.dtype, dtype) == ("int8", "uint8"):
        return replace(grid, dtype="uint8", zero_point=tuple(z + 128 for z in grid.zero_point))
    accepted = ["int8", "uint8", "float32"] if grid.dtype == "int8" else [grid.dtype, "float32"]
    asked = f"{side} {spec.name!r} was asked for as {dtype}, but is quantized to {grid.dtype}"
    raise ConversionError(asked, accepted=accepted, next_step=f"choose another {side}_dtype")


def _encoded(emission: Emission, value: Value, spec: TensorSpec, dtype: str) -> Value:
    if dtype not in TYPES:
        raise ConversionError(f"no tensor of a .tflite file is {dtype!r}", accepted=list(TYPES))
    if dtype == "float32":
        return emission.real(value)
    return emission.on_grid(value, _edge_grid(value.grid, dtype, spec, "output"))


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
