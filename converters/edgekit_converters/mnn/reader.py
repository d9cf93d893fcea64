"""What an ``.mnn`` file holds, read without MNN. Runs in a worker: the file may be anything.

The answer is JSON: see `edgekit.conversion.explanation`, which turns it into rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgekit.errors import LoadError
from edgekit_converters._memory import limit_memory
from edgekit_converters.mnn.coding import coded_weights, decode, parameters, reals
from edgekit_converters.mnn.flat import Table
from edgekit_converters.mnn.grids import written
from edgekit_converters.mnn.schema import CONTENTS, DTYPES, OPERATORS, Blob, Coded, Coding, Convolution2D, Input, Net, Op, Parameters

T = TypeVar("T")

_SHAPES = ("Shape", "Rank", "Const", "Size", "Range")


def read(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Describe the file ``arguments["model"]``.

    Raises:
        LoadError: It is no MNN file, or contradicts itself.
    """
    return _of_content(arguments, described), {}


def weights(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The weights of ``arguments["model"]`` that are coded as integers, as float32 (rows, columns).

    The names of their operators, and the arrays by number.

    Raises:
        LoadError: It is no MNN file, or contradicts itself.
    """
    found = _of_content(arguments, lambda content: {name: reals(*decode(coded)) for name, coded in coded_weights(content)})
    return {"names": list(found)}, {str(i): array for i, array in enumerate(found.values())}


def _of_content(arguments: Mapping[str, Any], read_from: Callable[[bytes], T]) -> T:
    path = Path(arguments["model"])
    limit_memory(path.stat().st_size)
    try:
        return read_from(path.read_bytes())
    except Exception as error:  # a damaged file may lead anywhere
        raise LoadError(f"{path.name} is not a readable MNN file: {type(error).__name__}: {error}", accepted="a whole .mnn file") from None


def described(content: bytes) -> dict[str, Any]:
    """The file's content.

    Raises:
        ValueError: It is none of MNN's.
    """
    net = Table.root(content)
    names, outputs, tables = net.texts(Net.TENSOR_NAMES), net.texts(Net.OUTPUTS), net.tables(Net.OPS)
    if not tables or not names:
        raise ValueError("it holds no operators")
    grids = {i: grid.to_json() | {"block": None} for i, grid in written(net).items()}
    tensors = [_tensor(i, name, grids.get(i)) for i, name in enumerate(names)]
    ops: list[dict[str, Any]] = []
    inputs = []
    for table in tables:
        kind = _kind(table)
        if kind == "Input":
            inputs.append(_input(table, names))
        elif kind == "Const":
            tensors[int(table.numbers(Op.OUTPUTS, "<i4")[0])] |= _constant(table)
        else:
            ops.append(_operator(len(ops), kind, table, tensors))
    return {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "description": "",
        "subgraphs": 1 + len(net.tables(Net.SUBGRAPHS)),
        "signatures": [],
        "inputs": inputs,
        "outputs": [{"name": name, "shape": [], "dtype": "float32", "grid": None} for name in outputs],
        "tensors": tensors,
        "ops": ops,
        "metadata": {},
        "repeated_bytes": 0,
        "findings": _findings(ops, net),
    }


def _kind(table: Table) -> str:
    number = table.integer(Op.TYPE)
    return OPERATORS.get(number, f"operator {number}")


def _tensor(index: int, name: str, grid: dict[str, Any] | None) -> dict[str, Any]:
    dtype = "float32" if grid is None else grid["dtype"]
    return {"index": index, "name": name, "shape": [], "dtype": dtype, "bytes": 0, "constant": False, "variable": False, "dynamic": [],
            "grid": grid}  # fmt: skip


def _input(table: Table, names: list[str]) -> dict[str, Any]:
    told = parameters(table, Parameters.INPUT)
    dims = [] if told is None else told.numbers(Input.DIMS, "<i4").tolist()
    dtype = "float32" if told is None else DTYPES.get(told.integer(Input.DTYPE, 1), "float32")
    return {"name": names[int(table.numbers(Op.OUTPUTS, "<i4")[0])], "shape": dims, "dtype": dtype, "grid": None}


def _constant(table: Table) -> dict[str, Any]:
    blob = parameters(table, Parameters.BLOB)
    if blob is None:
        return {"constant": True}
    size = sum(blob.numbers(f, kind).nbytes for f, kind in CONTENTS.items())
    return {
        "constant": True,
        "shape": blob.numbers(Blob.DIMS, "<i4").tolist(),
        "dtype": DTYPES.get(blob.integer(Blob.DTYPE), "unknown"),
        "bytes": size,
    }


def _operator(index: int, kind: str, table: Table, tensors: list[dict[str, Any]]) -> dict[str, Any]:
    inputs, outputs = (table.numbers(side, "<i4").tolist() for side in (Op.INPUTS, Op.OUTPUTS))
    if any(not 0 <= i < len(tensors) for i in (*inputs, *outputs)):
        raise ValueError(f"operator {index} refers to a tensor that is not there")
    size, options = _weights(table)
    integer = [tensors[i]["dtype"] for i in (*inputs[:1], *outputs[:1])] == ["int8", "int8"]
    held = sum(tensors[i]["bytes"] for i in dict.fromkeys(inputs) if tensors[i]["constant"])
    return {
        "index": index,
        "name": kind,
        "version": 1,
        "inputs": inputs,
        "outputs": outputs,
        "dtype": "int8" if integer else "float32",
        "bytes": size + held,
        "options": {"name": table.text(Op.NAME), **options},
    }


def _weights(table: Table) -> tuple[int, dict[str, Any]]:
    """Bytes of a convolution's constants, and how they are coded."""
    convolution = parameters(table, Parameters.CONVOLUTION2D)
    if convolution is None:
        return 0, {}
    size = sum(convolution.numbers(f, "<f4").nbytes for f in (Convolution2D.WEIGHT, Convolution2D.BIAS))
    coded = convolution.table(Convolution2D.CODED)
    if coded is None:  # layers with one weight refer to the first of them
        return size, {"weights": "float32" if len(convolution.numbers(Convolution2D.WEIGHT, "<f4")) else "shared"}
    scales, half = coded.numbers(Coded.SCALES, "<f4"), coded.integer(Coded.TYPE) == Coding.HALF
    size += coded.numbers(Coded.BUFFER, "i1").nbytes + scales.nbytes
    return size, {"weights": "float16"} if half else {"weights": f"int{coded.integer(Coded.BITS) or 8}", "scales": len(scales)}


def _findings(ops: list[dict[str, Any]], net: Table) -> list[dict[str, str]]:
    found = []
    integer = [op for op in ops if op["dtype"] == "int8"]
    for op in ops:
        label = f"{op['name']} #{op['index']} ({op['options']['name']})"
        if op["name"] == "ConvertTensor":
            found.append({"kind": "transpose", "text": f"{label} changes a tensor's layout"})
        elif op["name"] in _SHAPES:
            found.append({"kind": "shape arithmetic", "text": f"{label} computes a shape at run time"})
        elif integer and op["dtype"] != "int8":
            found.append({"kind": "float", "text": f"{label} computes in float32 inside an integer model"})
    if net.tables(Net.SUBGRAPHS):
        found.append({"kind": "subgraphs", "text": "the file has subgraphs; only the main one is listed"})
    return found
