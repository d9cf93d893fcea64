"""What an ``.onnx`` file holds, and which of TensorRT's rules it breaks. Runs in a worker: the file may be anything.

The answer is JSON: see `edgekit.conversion.explanation`, which turns it into rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, TypeProto

from edgekit.errors import LoadError
from edgekit.onnxfile import read_model, stored_bytes
from edgekit_converters._memory import limit_memory
from edgekit_converters.tensorrt.index import Index, attribute
from edgekit_converters.tensorrt.rules import violations
from edgekit_converters.tensorrt.scales import integer_dtype

_NAMES = {"FLOAT": "float32", "DOUBLE": "float64"}
_SCALARS = {onnx.AttributeProto.INT: "i", onnx.AttributeProto.FLOAT: "f", onnx.AttributeProto.INTS: "ints"}


def read(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Describe the file ``arguments["model"]``.

    Raises:
        LoadError: It is no ONNX file, or contradicts itself.
    """
    path = Path(arguments["model"])
    limit_memory(path.stat().st_size)
    model = read_model(path)
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0]
        raise LoadError(f"{path.name} is no valid ONNX model: {reason}", accepted="what onnx.checker accepts") from None
    return _described(path, model), {}


def _described(path: Path, model: onnx.ModelProto) -> dict[str, Any]:
    index = Index(model)
    types = _types(model)
    numbers = {name: i for i, name in enumerate(types)}
    broken = violations(model)
    findings = [{"kind": f"TensorRT: {v.rule}" if v.refused else v.rule, "text": v.sentence} for v in broken]
    return {
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "description": model.doc_string,
        "subgraphs": 1,
        "signatures": [],
        "inputs": [_edge(index, v.name, v.type) for v in model.graph.input if v.name not in index.constants],
        "outputs": [_edge(index, v.name, v.type) for v in model.graph.output],
        "tensors": [_tensor(index, i, name, types[name]) for name, i in numbers.items()],
        "ops": [_operator(index, i, node, numbers, types) for i, node in enumerate(index.nodes)],
        "metadata": {p.key: len(p.value.encode()) for p in model.metadata_props},
        "repeated_bytes": 0,
        "findings": findings or [{"kind": "TensorRT", "text": "no rule is broken"}],
    }


def _types(model: onnx.ModelProto) -> dict[str, TypeProto]:
    """Types of all values of the main graph, inferred where the file does not say."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        graph = model.graph
    found = {v.name: v.type for v in (*graph.input, *graph.value_info, *graph.output)}
    for name, tensor in Index(model).constants.items():
        found[name] = onnx.helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
    names = dict.fromkeys(n for node in graph.node for n in (*node.input, *node.output) if n)
    return {name: found.get(name, TypeProto()) for name in [*found, *(n for n in names if n not in found)]}


def _shape(kind: TypeProto) -> list[int]:
    """Sizes; -1 for an open one."""
    return [d.dim_value if d.HasField("dim_value") else -1 for d in kind.tensor_type.shape.dim]


def _dtype(code: int) -> str:
    name = TensorProto.DataType.Name(code) if code in TensorProto.DataType.values() else "UNDEFINED"
    return _NAMES.get(name, name.lower())


def _edge(index: Index, name: str, kind: TypeProto) -> dict[str, Any]:
    return {"name": name, "shape": _shape(kind), "dtype": _dtype(kind.tensor_type.elem_type), "grid": _grid(index, name)}


def _tensor(index: Index, number: int, name: str, kind: TypeProto) -> dict[str, Any]:
    constant = index.constants.get(name)
    shape, dtype = _shape(kind), _dtype(kind.tensor_type.elem_type)
    return {
        "index": number,
        "name": name,
        "shape": [max(d, 1) for d in shape],
        "dtype": dtype,
        "bytes": 0 if constant is None else stored_bytes(constant) or constant.ByteSize(),
        "constant": constant is not None,
        "variable": False,
        "dynamic": [i for i, d in enumerate(shape) if d < 0],
        "grid": _grid(index, name),
    }


def _grid(index: Index, name: str) -> dict[str, Any] | None:
    """The grid of integers that a DequantizeLinear reads or a QuantizeLinear makes."""
    node = index.maker(name, "QuantizeLinear") or next((r for r in index.readers(name) if r.op_type == "DequantizeLinear"), None)
    dtype = None if node is None else integer_dtype(index, node)
    if node is None or dtype is None or (node.op_type == "DequantizeLinear" and node.input[0] != name):
        return None
    scales = index.array(node.input[1])
    zeros = index.array(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if scales is None:
        return None
    flat = [float(s) for s in scales.reshape(-1)]
    zero_points = [0] * len(flat) if zeros is None else [int(z) for z in zeros.astype(np.int64).reshape(-1)]
    block = attribute(node, "block_size", 0) or None
    axis = attribute(node, "axis", 1) if len(flat) > 1 and block is None else None
    return {"dtype": _dtype(dtype), "scale": flat, "zero_point": zero_points, "axis": axis, "block": block}


def _operator(index: Index, number: int, node: NodeProto, numbers: dict[str, int], types: dict[str, TypeProto]) -> dict[str, Any]:
    held = (index.constants[name] for name in node.input if name in index.constants)
    options = {a.name: getattr(a, _SCALARS[a.type]) for a in node.attribute if a.type in _SCALARS}
    return {
        "index": number,
        "name": node.op_type,
        "version": index.opset,
        "inputs": [numbers.get(name, -1) for name in node.input],
        "outputs": [numbers[name] for name in node.output if name],
        "dtype": _computes(index, node, types),
        "bytes": sum(stored_bytes(t) or 0 for t in held),
        "options": {k: list(v) if isinstance(v, (list, tuple)) or hasattr(v, "__len__") else v for k, v in options.items()},
        "module": index.module(node),
    }


def _computes(index: Index, node: NodeProto, types: dict[str, TypeProto]) -> str:
    """Integers where all that a node combines was dequantized, else the dtype of its first input."""
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        code = integer_dtype(index, node)
        return "int8" if code is None else _dtype(code)
    sides = [index.dequantized(node, i) for i in range(min(len(node.input), 2)) if node.input[i] not in index.constants]
    first = next((s for s in sides if s is not None), None)
    if first is not None and all(sides):
        code = integer_dtype(index, first)
        return "int8" if code is None else _dtype(code)
    name = next((n for n in node.input if n), node.output[0])
    return _dtype(types[name].tensor_type.elem_type)
