"""An ML Program as calls of the MIL builder, before coremltools sees it: what crosses from our process to the worker.

It is plain data: JSON for the structure, numpy arrays beside it. coremltools is imported in the worker only (`writer`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ref:
    """A result of an earlier operation, or an input.

    Attributes:
        name: Of the operation or the input.
        index: Which result, of an operation with several.
    """

    name: str
    index: int | None = None


@dataclass(frozen=True)
class Narrow:
    """Integers of fewer than 8 bits, one a byte.

    Attributes:
        values: uint8 or int8.
        dtype: What they are in the file: ``uint4``, ``int4``, ``uint1``, …
    """

    values: np.ndarray
    dtype: str


Literal = bool | int | float | str
Argument = Ref | Narrow | np.ndarray | Literal | Sequence[Ref] | Sequence[Literal]


@dataclass(frozen=True)
class Operation:
    """One call of the builder.

    Attributes:
        kind: ``conv``.
        name: Of the operation, unique in the program; its only result has the same name.
        arguments: By parameter name.
        module: Path of the user's module it came from.
    """

    kind: str
    name: str
    arguments: Mapping[str, Argument]
    module: str


@dataclass(frozen=True)
class Input:
    """An input of the program.

    Attributes:
        name: In the file.
        shape: Static.
        dtype: ``float16``, ``float32`` or ``int32``.
        image: Order of its colours, for an image: ``RGB``, ``BGR`` or ``GRAY``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    image: str | None = None


@dataclass(frozen=True)
class Classes:
    """Labels of the scores that output `output` holds."""

    output: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """A whole program.

    Attributes:
        version: Of iOS, ``17``.
        inputs: In order.
        operations: In an order in which they can run.
        outputs: Names of operations, in order.
        classes: Labels, or None.
        metadata: ``author``, ``license``, ``shortDescription`` and ``versionString``, where they are known.
        user_metadata: Further texts by name.
    """

    version: str
    inputs: tuple[Input, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]
    classes: Classes | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    user_metadata: Mapping[str, str] = field(default_factory=dict)

    def pack(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON values, and the arrays they refer to."""
        arrays: dict[str, np.ndarray] = {}
        operations = [
            {"kind": op.kind, "name": op.name, "module": op.module, "arguments": {k: _packed(v, arrays) for k, v in op.arguments.items()}}
            for op in self.operations
        ]
        return {
            "version": self.version,
            "inputs": [vars(i) | {"shape": list(i.shape)} for i in self.inputs],
            "operations": operations,
            "outputs": list(self.outputs),
            "classes": None if self.classes is None else {"output": self.classes.output, "labels": list(self.classes.labels)},
            "metadata": dict(self.metadata),
            "user_metadata": dict(self.user_metadata),
        }, arrays

    @classmethod
    def unpack(cls, data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Program:
        """Inverse of `pack`."""
        operations = [
            Operation(op["kind"], op["name"], {k: _unpacked(v, arrays) for k, v in op["arguments"].items()}, op["module"])
            for op in data["operations"]
        ]
        classes = data["classes"]
        return cls(
            version=data["version"],
            inputs=tuple(Input(**i | {"shape": tuple(i["shape"])}) for i in data["inputs"]),
            operations=tuple(operations),
            outputs=tuple(data["outputs"]),
            classes=None if classes is None else Classes(classes["output"], tuple(classes["labels"])),
            metadata=data["metadata"],
            user_metadata=data["user_metadata"],
        )


def refs(operation: Operation) -> Iterator[Ref]:
    """The results an operation reads."""
    for argument in operation.arguments.values():
        for item in argument if isinstance(argument, (list, tuple)) else (argument,):
            if isinstance(item, Ref):
                yield item


def renamed(operations: Sequence[Operation], names: Mapping[str, str]) -> list[Operation]:
    """The same operations, some of them by other names."""
    return [
        replace(op, name=names.get(op.name, op.name), arguments={k: _renamed(v, names) for k, v in op.arguments.items()})
        for op in operations
    ]


def _renamed(argument: Argument, names: Mapping[str, str]) -> Argument:
    if isinstance(argument, Ref):
        return Ref(names.get(argument.name, argument.name), argument.index)
    if isinstance(argument, (list, tuple)):
        return [Ref(names.get(r.name, r.name), r.index) if isinstance(r, Ref) else r for r in argument]
    return argument


def _packed(argument: Argument, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    if isinstance(argument, Ref):
        return {"ref": [argument.name, argument.index]}
    if isinstance(argument, (np.ndarray, np.generic)):
        return {"array": _stored(np.asarray(argument), arrays)}
    if isinstance(argument, Narrow):
        return {"array": _stored(argument.values, arrays), "dtype": argument.dtype}
    if isinstance(argument, (list, tuple)):
        if argument and isinstance(argument[0], Ref):
            return {"refs": [[r.name, r.index] for r in argument]}
        return {"value": [v.item() if isinstance(v, np.generic) else v for v in argument]}
    return {"value": argument}


def _stored(array: np.ndarray, arrays: dict[str, np.ndarray]) -> str:
    key = f"a{len(arrays)}"
    arrays[key] = array
    return key


def _unpacked(argument: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Argument:
    if "ref" in argument:
        return Ref(*argument["ref"])
    if "refs" in argument:
        return [Ref(*r) for r in argument["refs"]]
    if "dtype" in argument:
        return Narrow(arrays[argument["array"]], argument["dtype"])
    return arrays[argument["array"]] if "array" in argument else argument["value"]
