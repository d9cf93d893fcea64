"""From a graph to an ``.mnn`` file: ONNX, MNN's converter in a worker, and the file read back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit import worker
from edgekit.errors import ConversionError
from edgekit.graph import Graph, module_path, op_name
from edgekit.plugins import Emitted, EmittedOp, EmittedWeight, Encoding
from edgekit.tensors import Grid, TensorSpec
from edgekit_converters.mnn import grids
from edgekit_converters.mnn.coding import Weight, coded_weights, corrected
from edgekit_converters.mnn.native import refusal
from edgekit_converters.mnn.parameters import BEFORE_OUTPUT, Plain, compressible, is_static, parameters, plain, rounded_weights
from edgekit_converters.mnn.reader import described
from edgekit_converters.onnx.walk import emit_named

MODEL_FILE = "model.mnn"
TIMEOUT = 1800.0
_CONVERT = "edgekit_converters.mnn.native:convert"
_NARROWED = {"int64": "int32", "bool": "int32", "float64": "float32"}
"""Dtypes MNN has not, and those it takes in their place."""


def emit(graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
    """Write `graph` as ``model.mnn``."""
    _refuse_integer_edges(encoding)
    found = plain(graph)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        scratch = Path(name)
        written, names = emit_named(found.graph, scratch, Encoding())
        (scratch / "parameters.json").write_text(parameters(found, names) or "", encoding="utf-8")
        content = _converted(scratch / written.model_file, scratch / "parameters.json", found, written)
    kept = rounded_weights(found, names)
    content = grids.described(corrected(content, kept), _tensor_grids(found, names))
    (folder / MODEL_FILE).write_bytes(content)
    read = described(content)
    _check_layers(read, found, names)
    inputs, outputs = (tuple(_narrowed(s) for s in specs) for specs in (written.inputs, written.outputs))
    ops = tuple(_op(op, read, names, found) for op in read["ops"])
    return Emitted(
        MODEL_FILE, inputs, outputs, ops, (*written.notes, *_notes(found), *encoding.untold("MNN files")), weights=_listed(content, kept)
    )


def _listed(content: bytes, kept: Mapping[str, Weight]) -> tuple[EmittedWeight, ...]:
    """The rounded weights that reading the file back must give."""
    present = [name for name, _ in coded_weights(content) if name in kept]
    return tuple(EmittedWeight(name, kept[name].module, kept[name].values) for name in present)


def _refuse_integer_edges(encoding: Encoding) -> None:
    for side in ("input", "output"):
        dtype = getattr(encoding, f"{side}_dtype")
        if dtype != "float32":
            raise ConversionError(
                f"an {side} was asked for as {dtype}, and MNN's session takes and gives float",
                accepted="float32",
                next_step=f"ask for {side}_dtype float32",
            )


def _converted(model: Path, parameter_file: Path, found: Plain, written: Emitted) -> bytes:
    result = model.with_suffix(".mnn")
    options = ["--useGeluApproximation", "0", "--compressionParamsFile", str(parameter_file), *(["--fp16"] if found.half else [])]
    arguments = {"model": str(model), "result": str(result), "options": options}
    try:
        worker.run(_CONVERT, arguments, timeout=TIMEOUT, environment={"OMP_NUM_THREADS": "1"})
    except worker.WorkerCrashed as crash:
        raise refusal(crash, _single_modules(written)) from None
    if not result.is_file():
        raise ConversionError("MNN's converter wrote nothing and gave no reason", next_step="convert for another target")
    return result.read_bytes()


def _single_modules(written: Emitted) -> dict[str, str]:
    """The module of each operator that occurs in one module only."""
    modules: dict[str, set[str]] = {}
    for op in written.ops:
        modules.setdefault(op.name, set()).add(op.module)
    return {name: min(where) for name, where in modules.items() if len(where) == 1}


def _tensor_grids(found: Plain, names: Mapping[str, str]) -> dict[str, Grid]:
    """By the file's tensor, the grids the graph has."""
    of_values = {names[node]: grid for node, grid in found.activations.items() if node in names}
    return of_values | {f"{name}{BEFORE_OUTPUT}": grid for name, grid in of_values.items()}


def _check_layers(read: Mapping[str, Any], found: Plain, names: Mapping[str, str]) -> None:
    """Every layer that the graph rounds is rounded in the file, in the same way.

    Raises:
        ConversionError: MNN's converter did not take over a layer's parameters.
    """
    ops = {op["options"]["name"]: op for op in read["ops"]}
    for node in found.graph.nodes:
        if node.name not in found.weights or not compressible(node):
            continue
        op = ops.get(names[node.name])
        if op is None or op["options"].get("weights", "float32") == "float32" or (is_static(node, found) and op["dtype"] != "int8"):
            raise ConversionError(
                "MNN's converter left a layer in float that the recipe rounds",
                op=f"aten.{op_name(node)}",
                module=module_path(node),
                next_step="report this as a defect; a recipe override of float32 for this module avoids it",
            )


def _narrowed(spec: TensorSpec) -> TensorSpec:
    return replace(spec, dtype=_NARROWED.get(spec.dtype, spec.dtype))


def _op(op: Mapping[str, Any], read: Mapping[str, Any], names: Mapping[str, str], found: Plain) -> EmittedOp:
    """The user's module is that of the graph's node of the same name, as far as MNN kept it."""
    paths = {names[n.name]: module_path(n) for n in found.graph.nodes if n.name in names}
    candidates = [op["options"]["name"], *(read["tensors"][i]["name"] for i in op["outputs"])]
    stems = [c.removesuffix("__matmul_converted").partition("___tr4")[0] for c in candidates]
    return EmittedOp(op["name"], next((paths[s] for s in stems if s in paths), ""), op["dtype"])


def _notes(found: Plain) -> tuple[str, ...]:
    left = [n for n in found.graph.nodes if n.name in found.weights and op_name(n) == "convolution" and not compressible(n)]
    return tuple(f"the weight of the transposed or three-dimensional convolution in {module_path(n)!r} stays float32" for n in left)
