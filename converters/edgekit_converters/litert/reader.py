"""What a ``.tflite`` file holds, read with the official schema module. Runs in a worker: the file may be anything.

The answer is JSON: see `edgekit.conversion.explanation`, which turns it into rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import numpy as np

from edgekit.errors import LoadError
from edgekit_converters._memory import limit_memory

_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
_PADDING = {code: name for name, code in vars(schema.Padding).items() if not name.startswith("_")}
_ACTIVATIONS = {code: name for name, code in vars(schema.ActivationFunctionType).items() if not name.startswith("_")}
_BITS = {8: (), 2: ("int2",), 4: ("int4", "uint4"), 16: ("float16", "bfloat16", "int16", "uint16"), 32: ("float32", "int32", "uint32"),
         64: ("float64", "int64", "uint64", "complex64"), 128: ("complex128",)}  # fmt: skip
_WIDTH = {name: bits for bits, names in _BITS.items() for name in names}


def read(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Describe the file ``arguments["model"]``.

    Raises:
        LoadError: It is not a TFLite flatbuffer, or contradicts itself.
    """
    path = Path(arguments["model"])
    limit_memory(path.stat().st_size)
    content = path.read_bytes()
    try:
        return _described(content, schema.ModelT.InitFromPackedBuf(content)), {}
    except Exception as error:  # a damaged file may lead the generated code anywhere
        raise LoadError(
            f"{path.name} is not a readable TFLite file: {type(error).__name__}: {error}", accepted="a whole .tflite file"
        ) from None


def _described(content: bytes, model: Any) -> dict[str, Any]:
    graph = model.subgraphs[0]
    tensors = [_tensor(index, t, model) for index, t in enumerate(_list(graph.tensors))]
    ops = [_operator(index, op, model, tensors) for index, op in enumerate(_list(graph.operators))]
    signatures = [_signature(s) for s in _list(model.signatureDefs)]
    return {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "description": _text(model.description),
        "subgraphs": len(model.subgraphs),
        "signatures": signatures,
        "inputs": [_edge(int(i), tensors, signatures, "inputs") for i in _list(graph.inputs)],
        "outputs": [_edge(int(i), tensors, signatures, "outputs") for i in _list(graph.outputs)],
        "tensors": tensors,
        "ops": ops,
        "metadata": {_text(m.name): len(_data(model.buffers[m.buffer])) for m in _list(model.metadata)},
        "repeated_bytes": _repeated(model),
    }


def _tensor(index: int, tensor: Any, model: Any) -> dict[str, Any]:
    shape, dtype = [int(d) for d in _list(tensor.shape)], _TYPES[tensor.type]
    data = _data(model.buffers[tensor.buffer])
    elements = int(np.prod(shape, dtype=np.int64))
    signature = [int(d) for d in _list(tensor.shapeSignature)]
    return {
        "index": index,
        "name": _text(tensor.name),
        "shape": shape,
        "dtype": dtype,
        "bytes": len(data) or -(-elements * _WIDTH.get(dtype, 8) // 8),
        "constant": bool(len(data)),
        "variable": bool(tensor.isVariable),
        "dynamic": [axis for axis, size in enumerate(signature) if size < 0],
        "grid": _grid(tensor.quantization, dtype),
    }


def _grid(quantization: Any, dtype: str) -> dict[str, Any] | None:
    if quantization is None:
        return None
    if quantization.detailsType == schema.QuantizationDetails.BlockwiseQuantization:
        block = quantization.details.blockSize
        return {"dtype": dtype, "scale": [], "zero_point": [], "axis": None, "block": int(block)}
    scales = [float(s) for s in _list(quantization.scale)]
    if not scales:
        return None
    zeros = [int(z) for z in _list(quantization.zeroPoint)]
    axis = int(quantization.quantizedDimension) if len(scales) > 1 else None
    return {"dtype": dtype, "scale": scales, "zero_point": zeros, "axis": axis, "block": None}


def _operator(index: int, op: Any, model: Any, tensors: list[dict[str, Any]]) -> dict[str, Any]:
    code = model.operatorCodes[op.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    custom = _text(code.customCode)
    inputs, outputs = [[int(i) for i in _list(side)] for side in (op.inputs, op.outputs)]
    for i in (*inputs, *outputs):
        if not -1 <= i < len(tensors):
            raise ValueError(f"operator {index} refers to tensor {i} of {len(tensors)}")
    return {
        "index": index,
        "name": custom if builtin == schema.BuiltinOperator.CUSTOM and custom else _OPERATORS[builtin],
        "version": int(code.version),
        "inputs": inputs,
        "outputs": outputs,
        "dtype": _dtype([tensors[i] for i in inputs if i >= 0], [tensors[i] for i in outputs if i >= 0]),
        "bytes": sum(tensors[i]["bytes"] for i in dict.fromkeys(inputs) if i >= 0 and tensors[i]["constant"]),
        "options": _options(op.builtinOptions),
    }


def _dtype(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> str:
    """What it computes in: its result's dtype, or its first input's where the result is a choice or a count."""
    result = outputs[0]["dtype"] if outputs else "none"
    return str(inputs[0]["dtype"] if inputs and result in ("int32", "int64", "bool") else result)


def _options(options: Any) -> dict[str, Any]:
    """The scalar options, with enumerations by name."""
    found: dict[str, Any] = {}
    for key, value in vars(options).items() if options is not None else ():
        if key == "padding":
            found[key] = _PADDING[value]
        elif key == "fusedActivationFunction":
            found[key] = _ACTIVATIONS[value]
        elif isinstance(value, (bool, int, float)):
            found[key] = value
    return found


def _signature(signature: Any) -> dict[str, Any]:
    sides = {side: {_text(m.name): int(m.tensorIndex) for m in _list(getattr(signature, side))} for side in ("inputs", "outputs")}
    return {"key": _text(signature.signatureKey), **sides}


def _edge(index: int, tensors: list[dict[str, Any]], signatures: list[dict[str, Any]], side: str) -> dict[str, Any]:
    """An input or output under its signature's name, as `TensorSpec.to_json` writes it."""
    named = {i: name for s in signatures for name, i in s[side].items()}
    tensor = tensors[index]
    grid = {k: v for k, v in tensor["grid"].items() if k != "block"} if tensor["grid"] else None
    return {"name": named.get(index, tensor["name"]), "shape": tensor["shape"], "dtype": tensor["dtype"], "grid": grid}


def _repeated(model: Any) -> int:
    """Bytes of constants that are stored more than once."""
    seen: set[bytes] = set()
    repeated = 0
    for buffer in model.buffers:
        data = _data(buffer)
        if len(data) < 64:
            continue
        digest = hashlib.blake2b(data).digest()
        repeated += len(data) if digest in seen else 0
        seen.add(digest)
    return repeated


def _data(buffer: Any) -> bytes:
    return b"" if buffer.data is None else bytes(bytearray(buffer.data))


def _list(vector: Any) -> Any:
    return [] if vector is None else vector


def _text(value: Any) -> str:
    return "" if value is None else bytes(value).decode("utf-8", "replace")
