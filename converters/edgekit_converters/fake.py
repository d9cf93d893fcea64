"""A converter without vendor code: the graph as JSON and its constants as npz, for tests and for reading.

    {"format": "edgekit.fake/1", "inputs": [spec], "outputs": [spec], "results": [argument],
     "nodes": [{"name", "target": "aten.relu.default", "args": [argument], "kwargs": {}, "module"}]}

An argument is JSON, or ``{"node": name}``, ``{"constant": name}``, ``{"dtype": name}``. Integer inputs and outputs are those
of the encoding, on the grids the graph has. `edgekit_runtimes.fake` runs it.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ConversionError
from edgekit.plugins import Emitted, EmittedOp, Encoding
from edgekit.tensors import Grid, TensorSpec

if TYPE_CHECKING:
    from torch import fx

    from edgekit.graph import Graph

FORMAT = "edgekit.fake/1"
MODEL_FILE = "model.fake"


@dataclass(frozen=True)
class FakeConverter:
    """Writes ``.fake`` files: a zip of ``graph.json`` and one ``.npy`` a constant."""

    name: str = "fake"
    suffix: str = ".fake"
    extra: str = "test"
    reader: str | None = None

    def emit(self, graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
        """Write `graph` as ``model.fake`` in `folder`.

        Raises:
            ConversionError: An input or output has no grid for the integer dtype asked for, or a target has no name.
        """
        constants: dict[str, np.ndarray] = {}
        nodes = [n for n in graph.nodes if n.op == "call_function"]
        inputs, outputs = _edges(graph, encoding)
        document = {
            "format": FORMAT,
            "inputs": [s.to_json() for s in inputs],
            "outputs": [s.to_json() for s in outputs],
            "placeholders": [n.name for n in graph.nodes if n.op == "placeholder"],
            "nodes": [_node(n, constants) for n in nodes],
            "results": _argument(_results(graph), constants),
        }
        _write(folder / MODEL_FILE, document, constants)
        ops = tuple(EmittedOp(str(n.target), str(n.meta.get("module_path", "")), _dtype(n), _shapes(n)) for n in nodes)
        return Emitted(MODEL_FILE, inputs, outputs, ops)


def _edges(graph: Graph, encoding: Encoding) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    from edgekit.graph import grid_of  # noqa: PLC0415 - torch loads only for a conversion

    placeholders = [n for n in graph.nodes if n.op == "placeholder"]
    input_grids = [next((g for u in n.users if (g := grid_of(u))), None) for n in placeholders]
    output_grids = [grid_of(n) for n in _results(graph)]
    inputs = tuple(_encoded(s, g, encoding.input_dtype) for s, g in zip(graph.inputs, input_grids, strict=True))
    outputs = tuple(_encoded(s, g, encoding.output_dtype) for s, g in zip(graph.outputs, output_grids, strict=True))
    return inputs, outputs


def _encoded(spec: TensorSpec, grid: Grid | None, dtype: str) -> TensorSpec:
    if spec.dtype != "float32" or dtype == "float32":
        return spec
    if grid is None:
        raise ConversionError(f"{spec.name!r} was asked for as {dtype}, but the model keeps it in float", accepted="float32")
    if (grid.dtype, dtype) == ("int8", "uint8"):
        grid = Grid("uint8", grid.scale, tuple(z + 128 for z in grid.zero_point))
    if grid.dtype != dtype:
        raise ConversionError(f"{spec.name!r} was asked for as {dtype}, but is quantized to {grid.dtype}", accepted=grid.dtype)
    return replace(spec, dtype=dtype, grid=grid)


def _results(graph: Graph) -> list[fx.Node]:
    (output,) = [n for n in graph.nodes if n.op == "output"]
    results = output.args[0]
    return list(results) if isinstance(results, (list, tuple)) else [results]  # type: ignore[arg-type,list-item]


def _node(node: fx.Node, constants: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        "name": node.name,
        "target": str(node.target) if hasattr(node.target, "_schema") else getattr(node.target, "__name__", "?"),
        "args": _argument(node.args, constants),
        "kwargs": {k: _argument(v, constants) for k, v in node.kwargs.items()},
        "module": str(node.meta.get("module_path", "")),
    }


def _argument(value: Any, constants: dict[str, np.ndarray]) -> Any:
    import torch  # noqa: PLC0415 - only for a conversion

    from edgekit.graph import constant_value  # noqa: PLC0415

    if isinstance(value, torch.fx.Node):
        tensor = constant_value(value)
        if tensor is None:
            return {"node": value.name}
        constants[value.name] = tensor.numpy()
        return {"constant": value.name}
    if isinstance(value, (list, tuple)):
        return [_argument(v, constants) for v in value]
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ConversionError(f"the fake format has no form for {value!r}")


def _shapes(node: fx.Node) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(n.meta["val"].shape) for n in node.all_input_nodes if hasattr(n.meta.get("val"), "shape"))


def _dtype(node: fx.Node) -> str:
    from edgekit.graph import grid_of  # noqa: PLC0415

    grids = [g for n in (node, *node.users) if (g := grid_of(n))]
    return grids[0].dtype if grids else str(getattr(node.meta.get("val"), "dtype", "float32")).removeprefix("torch.")


def _write(path: Path, document: dict[str, Any], constants: dict[str, np.ndarray]) -> None:
    members = {"graph.json": json.dumps(document).encode()}
    for name, array in constants.items():
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        members[f"{name}.npy"] = stream.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


CONVERTER = FakeConverter()
