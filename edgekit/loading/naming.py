"""Flatten the inputs and outputs of a user's model to named tensors.

Names: a PyTorch input is called as the parameter of ``forward``; keys and fields of dicts, dataclasses and named
tuples are joined with dots; a tuple's elements are numbered (``output_0``); a lone output is ``output``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from edgekit.errors import LoadError
from edgekit.tensors import TensorSpec

Path = tuple[str | int, ...]

DTYPE_NAMES = {
    torch.float32: "float32", torch.float16: "float16", torch.int8: "int8", torch.uint8: "uint8", torch.int16: "int16",
    torch.int32: "int32", torch.int64: "int64", torch.bool: "bool",
}  # fmt: skip


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The leaves of nested mappings, dataclasses, named tuples, lists and tuples, with their paths; None is no leaf."""
    children = None if value is None else _children(value)
    if children is not None:
        for key, item in children:
            yield from leaves(item, (*path, key))
    elif value is not None:
        yield path, value


def replace_leaves(value: Any, replace: Callable[[Any], Any]) -> Any:
    """The same structure with every leaf replaced."""
    if value is None:
        return None
    children = _children(value)
    if children is None:
        return replace(value)
    items = [replace_leaves(item, replace) for _, item in children]
    if isinstance(value, Mapping):
        return dict(zip(value, items, strict=True))
    if hasattr(value, "_fields"):
        return type(value)(*items)
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(value, **dict(zip((f.name for f in dataclasses.fields(value)), items, strict=True)))  # type: ignore[type-var]
    return type(value)(items)


def _children(value: Any) -> list[tuple[str | int, Any]] | None:
    if isinstance(value, Mapping):
        return [(str(key), item) for key, item in value.items()]
    if hasattr(value, "_fields") and isinstance(value, tuple):
        return list(zip(value._fields, value, strict=True))  # type: ignore[attr-defined]
    if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        return list(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, (type, TensorSpec)):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return None


def output_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of outputs found at these paths."""
    if len(paths) == 1 and not any(isinstance(part, str) for part in paths[0]):
        return ("output",)
    return unique([joined(("output", *path) if not path or isinstance(path[0], int) else path) for path in paths])


def joined(path: Path) -> str:
    """``("output", 0, "box")`` to ``output_0.box``: the first number follows an underscore, the rest dots."""
    if len(path) > 1 and isinstance(path[1], int):
        return ".".join([f"{path[0]}_{path[1]}", *map(str, path[2:])])
    return ".".join(map(str, path))


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """The same names, later duplicates numbered: ``dense, dense_1``."""
    taken: set[str] = set()
    result = []
    for name in names:
        fresh, count = name, 0
        while fresh in taken or (count and fresh in names):
            count += 1
            fresh = f"{name}_{count}"
        taken.add(fresh)
        result.append(fresh)
    return tuple(result)


def spec(name: str, tensor: Tensor) -> TensorSpec:
    """Name, static shape and dtype of a tensor (or of a traced value).

    Raises:
        LoadError: Its dtype is none an artifact can have.
    """
    if tensor.dtype not in DTYPE_NAMES:
        raise LoadError(f"{name} has dtype {str(tensor.dtype).removeprefix('torch.')}", accepted=list(DTYPE_NAMES.values()))
    return TensorSpec(name, tuple(int(size) for size in tensor.shape), DTYPE_NAMES[tensor.dtype])
