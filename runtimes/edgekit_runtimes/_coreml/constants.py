"""All constants of a program, decompressed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.errors import LoadError
from edgekit_runtimes._coreml.decompress import decompress
from edgekit_runtimes._coreml.program import Literal, Operation, Port, Program


@dataclass(frozen=True)
class Constant:
    """A value that is the same in every run.

    Attributes:
        port: Its name, type and shape in the program.
        array: The value, in the type of `dtypes.NUMPY`.
        operation: What makes it: a ``const`` or a ``constexpr`` operation.
        parts: The operation's own inputs by parameter; a ``const`` has none.
        bytes: Stored in the file for it and for the parts that serve it alone.
    """

    port: Port
    array: np.ndarray
    operation: Operation
    parts: Mapping[str, Constant | Literal]
    bytes: int


def constants(program: Program) -> dict[str, Constant]:
    """Every constant by name, those that only serve to compress another included.

    Raises:
        LoadError: A constant cannot be decompressed, or is not what the program declares.
    """
    found: dict[str, Constant] = {}
    for operation in program.operations:
        if operation.constant:
            try:
                found.update((c.port.name, c) for c in _results(operation, found))
            except (ValueError, OverflowError) as error:
                raise LoadError(f"the constant {operation.label} cannot be read: {error}") from None
    return found


def _results(operation: Operation, known: Mapping[str, Constant]) -> Iterator[Constant]:
    parts = {name: part for name, part in _parts(operation, known).items() if name != "name"}
    if operation.kind == "const":
        if not isinstance(value := parts.get("val"), Literal):
            raise ValueError("it has no value")
        arrays: tuple[np.ndarray, ...] = (value.array,)
        parts = {}
        stored = [value.bytes]
    else:
        arrays = decompress(operation.kind, {n: p.array for n, p in parts.items()})
        stored = _shares(parts, len(arrays))
    if len(arrays) != len(operation.outputs):
        raise ValueError(f"it declares {len(operation.outputs)} results and has {len(arrays)}")
    for port, array, size in zip(operation.outputs, arrays, stored, strict=True):
        if array.dtype.kind not in "US" and port.shape != array.shape:
            raise ValueError(f"it declares the shape {list(port.shape)} and has {list(array.shape)}")
        yield Constant(port, array, operation, parts, size)


def _shares(parts: Mapping[str, Constant | Literal], results: int) -> list[int]:
    """Bytes of each result: where there are two, they are a mask, which a part is, and the values, which the other parts are."""
    mask = sum(part.bytes for name, part in parts.items() if name.endswith("_mask")) if results == 2 else 0
    rest = sum(part.bytes for part in parts.values()) - mask
    return [mask, rest] if results == 2 else [rest]


def _parts(operation: Operation, known: Mapping[str, Constant]) -> dict[str, Constant | Literal]:
    """Inputs and attributes: iOS 16 writes the parts of a compressed constant as attributes, iOS 18 as inputs."""
    parts: dict[str, Constant | Literal] = dict(operation.attributes)
    for name, arguments in operation.inputs.items():
        if len(arguments) != 1:
            raise ValueError(f"its {name} has {len(arguments)} values")
        argument = arguments[0]
        if isinstance(argument, str) and argument not in known:
            raise ValueError(f"its {name} is {argument!r}, which is no constant before it")
        parts[name] = known[argument] if isinstance(argument, str) else argument
    return parts
