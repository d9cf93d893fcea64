"""Reading an ONNX file that may come from anywhere: whole, consistent, and without leaving its folder.

A file names the files that hold its large constants, and says how large each constant is; neither is taken on trust. Imports
onnx when called.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from edgekit.errors import LoadError

if TYPE_CHECKING:
    import onnx

LARGEST = 2**31 - 1
"""Bytes of a protobuf message, at most."""

ACCEPTED = "a whole .onnx file"


def read_model(path: Path) -> onnx.ModelProto:
    """Parse a file and check that its constants are what they claim; external data stay where they are.

    Raises:
        LoadError: It is missing, truncated, no ONNX file, contradicts itself, or points outside its folder.
    """
    import onnx  # noqa: PLC0415 - heavy
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415

    if not path.is_file():
        raise LoadError(f"no model file at {path}", next_step="check the path, or run `edgekit convert` first")
    if path.stat().st_size > LARGEST:
        raise LoadError(f"{path.name} has over 2 GiB", accepted="a smaller file, with its constants as external data beside it")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, RecursionError) as error:
        raise LoadError(f"{path.name} is no ONNX file, or a damaged one: {error}", accepted=ACCEPTED) from None
    if not model.graph.output:
        raise LoadError(f"{path.name} holds no model: its graph has no outputs", accepted=ACCEPTED)
    for tensor in constants(model.graph):
        _check(tensor, path)
    return model


def constants(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All constants of a graph and the graphs inside it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from constants(inner)


def _check(tensor: onnx.TensorProto, path: Path) -> None:
    import onnx  # noqa: PLC0415

    name = tensor.name or "a constant"
    if any(d < 0 for d in tensor.dims):
        raise LoadError(f"{path.name} contradicts itself: {name!r} has the shape {list(tensor.dims)}", accepted=ACCEPTED)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        _check_external(tensor, name, path)
    elif tensor.HasField("raw_data"):
        needed = stored_bytes(tensor)
        if needed is not None and len(tensor.raw_data) != needed:
            shape = "x".join(map(str, tensor.dims)) or "scalar"
            raise LoadError(
                f"{path.name} contradicts itself: {name!r} ({shape}) takes {needed:,} bytes and has {len(tensor.raw_data):,}",
                accepted=ACCEPTED,
            )


def stored_bytes(tensor: onnx.TensorProto) -> int | None:
    """Bytes that a constant of such a shape and dtype takes; None for dtypes without a fixed width."""
    import onnx  # noqa: PLC0415

    name = onnx.TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in onnx.TensorProto.DataType.values() else ""
    narrow = 2 if name.endswith("INT2") else 4 if name.endswith(("INT4", "FLOAT4E2M1")) else None
    elements: int = math.prod(tensor.dims)
    if narrow is not None:
        return -(-elements * narrow // 8)
    try:
        width = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, TypeError):
        return None
    return None if name == "STRING" else elements * width


def _check_external(tensor: onnx.TensorProto, name: str, path: Path) -> None:
    """External data lie in the model's folder, and there is as much of them as the file says."""
    facts = {entry.key: entry.value for entry in tensor.external_data}
    location = facts.get("location", "")
    parts = {*PurePosixPath(location).parts, *PureWindowsPath(location).parts}
    outside = not location or ".." in parts or PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive
    file = path.parent / location
    if outside or not file.resolve().is_relative_to(path.parent.resolve()):
        raise LoadError(f"{path.name} wants the data of {name!r} from {location!r}, outside its folder", accepted="a file beside the model")
    if not file.is_file():
        raise LoadError(f"{path.name} wants the data of {name!r} from {location!r}, which is not there", accepted="all files of the model")
    start, length = (_number(facts.get(key), key, name, path) for key in ("offset", "length"))
    if start + (length or stored_bytes(tensor) or 0) > file.stat().st_size:
        raise LoadError(f"{location} is too short for {name!r} of {path.name}", accepted="all files of the model, whole")


def _number(text: str | None, key: str, name: str, path: Path) -> int:
    if text is None:
        return 0
    if not text.isdecimal() or len(text) > 18:
        raise LoadError(f"{path.name} contradicts itself: the {key} of {name!r} is {text[:20]!r}", accepted="a number of bytes")
    return int(text)
