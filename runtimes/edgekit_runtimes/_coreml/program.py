"""A MIL program as nouns: operations, their arguments, and literal values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.errors import LoadError
from edgekit_runtimes._coreml.blobs import BlobFile
from edgekit_runtimes._coreml.dtypes import NUMPY, of_message, unpack
from edgekit_runtimes._coreml.package import Package

MAIN = "main"
_FIELDS = {"floats": np.float32, "ints": np.int32, "bools": np.bool_, "longInts": np.int64, "doubles": np.float64}


@dataclass(frozen=True)
class Literal:
    """A value written in the program or in the weight file.

    Attributes:
        dtype: MIL's name (``fp16``), or ``string``.
        array: Unpacked elements, in the type of `dtypes.NUMPY`; strings as a numpy string array.
        bytes: What it takes in the file.
    """

    dtype: str
    array: np.ndarray
    bytes: int


@dataclass(frozen=True)
class Port:
    """A named value of the program: its MIL type and shape, -1 for a size left open; ``dictionary`` and ``string`` have none."""

    name: str
    dtype: str
    shape: tuple[int, ...]


Argument = str | Literal
"""A reference to a value by name, or a literal."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        kind: ``conv``.
        inputs: By parameter, one argument or several (``concat``'s values).
        outputs: In order.
        attributes: Literal by name; a ``const`` has its value here, the others a name.
        blocks: Nested blocks, as control flow has.
    """

    kind: str
    inputs: Mapping[str, tuple[Argument, ...]]
    outputs: tuple[Port, ...]
    attributes: Mapping[str, Literal]
    blocks: int = 0

    @property
    def label(self) -> str:
        """How errors call it: ``conv 'layer1_conv1'``."""
        return f"{self.kind} {self.outputs[0].name!r}" if self.outputs else self.kind

    @property
    def references(self) -> list[str]:
        """Names of the values it uses."""
        return [argument for arguments in self.inputs.values() for argument in arguments if isinstance(argument, str)]

    @property
    def constant(self) -> bool:
        """Whether its results are the same in every run."""
        return self.kind == "const" or self.kind.startswith("constexpr_")


@dataclass(frozen=True)
class Program:
    """The main function of an ML Program.

    Attributes:
        version: Of the specification: 6 is iOS 15, 7 iOS 16, 8 iOS 17, 9 iOS 18.
        opset: ``CoreML5`` for iOS 15, and so on.
        inputs: Of the function.
        operations: In execution order.
        outputs: Names of the results, in order.
        functions: Names of all functions; only the main one is read.
    """

    version: int
    opset: str
    inputs: tuple[Port, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]
    functions: tuple[str, ...]


def read_program(package: Package) -> Program:
    """The main function of a package's program, with all its constants.

    Raises:
        LoadError: The program contradicts itself or its weight file.
    """
    functions = package.specification.mlProgram.functions
    name = package.specification.description.defaultFunctionName or MAIN
    if name not in functions:
        raise LoadError(f"{package.path.name} has no function {name!r}", accepted=sorted(functions) or "a program with functions")
    function = functions[name]
    if function.opset not in function.block_specializations:
        raise LoadError(
            f"{package.path.name} has no block for its opset {function.opset!r}", accepted=sorted(function.block_specializations)
        )
    block, reader = function.block_specializations[function.opset], _Reader(package)
    return Program(
        version=package.specification.specificationVersion,
        opset=function.opset,
        inputs=tuple(reader.ports(function.inputs)),
        operations=tuple(reader.operation(index, op) for index, op in enumerate(block.operations)),
        outputs=tuple(block.outputs),
        functions=tuple(sorted(functions)),
    )


class _Reader:
    """Reads messages; keeps the weight files it has opened."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._files: dict[str, BlobFile] = {}

    def operation(self, index: int, message: Any) -> Operation:
        try:
            return Operation(
                message.type,
                {name: tuple(self._argument(b) for b in given.arguments) for name, given in message.inputs.items()},
                tuple(self.ports(message.outputs)),
                {name: self._literal(value) for name, value in message.attributes.items()},
                len(message.blocks),
            )
        except (ValueError, OverflowError) as error:
            named = f" {message.outputs[0].name!r}" if message.outputs else ""
            raise LoadError(f"{self._package.path.name}: operation {index}, {message.type}{named}: {error}") from None

    def ports(self, messages: Any) -> Iterator[Port]:
        for message in messages:
            yield Port(message.name, *_type(message.type))

    def _argument(self, binding: Any) -> Argument:
        return binding.name if binding.WhichOneof("binding") == "name" else self._literal(binding.value)

    def _literal(self, value: Any) -> Literal:
        if value.WhichOneof("value") == "blobFileValue":
            dtype, shape = _static(value.type)
            blob = value.blobFileValue
            elements, size = self._file(blob.fileName).read(blob.offset, dtype, math.prod(shape))
            return Literal(dtype, elements.reshape(shape), size)
        immediate = value.immediateValue
        match immediate.WhichOneof("value"):
            case "tensor":
                return _tensor(immediate.tensor, *_static(value.type))
            case "list":
                items = [self._literal(item) for item in immediate.list.values]
                array = np.array([item.array.item() for item in items])
                return Literal(items[0].dtype if items else "string", array, sum(item.bytes for item in items))
            case other:
                raise ValueError(f"a value of kind {other or 'none'}, where a tensor or a list is known here")

    def _file(self, name: str) -> BlobFile:
        if name not in self._files:
            self._files[name] = BlobFile(self._package.weight_file(name))
        return self._files[name]


def _tensor(message: Any, dtype: str, shape: tuple[int, ...]) -> Literal:
    field, count = message.WhichOneof("value"), math.prod(shape)
    if field == "bytes":
        data = np.frombuffer(message.bytes.values, np.uint8)
        return Literal(dtype, unpack(data, dtype, count).reshape(shape), len(data))
    if field == "strings":
        array = np.array(list(message.strings.values))
        size = sum(len(text.encode()) for text in message.strings.values)
    elif field in _FIELDS:
        array = np.array(getattr(message, field).values, _FIELDS[field]).astype(NUMPY[dtype])
        size = array.nbytes
    else:
        raise ValueError("a tensor without values")
    if array.size != count:
        raise ValueError(f"{array.size:,} values for the shape {list(shape)}")
    return Literal(dtype, array.reshape(shape), size)


def _static(message: Any) -> tuple[str, tuple[int, ...]]:
    dtype, shape = _type(message)
    if any(size < 0 for size in shape):
        raise ValueError("a literal of open shape")
    return dtype, shape


def _type(message: Any) -> tuple[str, tuple[int, ...]]:
    """MIL type and shape of a ``ValueType``."""
    kind = message.WhichOneof("type")
    if kind == "stateType":
        return _type(message.stateType.wrappedType)
    if kind != "tensorType":
        return (kind or "nothing").removesuffix("Type"), ()
    tensor = message.tensorType
    sizes = (d.constant.size if d.WhichOneof("dimension") == "constant" else -1 for d in tensor.dimensions)
    return of_message(tensor.dataType), tuple(int(size) for size in sizes)
