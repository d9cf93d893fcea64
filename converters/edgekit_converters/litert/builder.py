"""The file: tensors, operators and buffers in, flatbuffer bytes out.

Knows nothing of ATen or layouts. Constants are stored once, however often they are used; operators and tensors that no
output needs are dropped; buffers are aligned to 16 bytes, which the schema's own packer forgets; the same calls give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
from flatbuffers.number_types import UOffsetTFlags

from edgekit.errors import ConversionError
from edgekit.tensors import Grid
from edgekit_converters.litert.versions import version

_KINDS = ("float32", "float16", "int4", "int8", "uint8", "int16", "int32", "int64", "bool")
TYPES: dict[str, int] = {name: getattr(schema.TensorType, name.upper()) for name in _KINDS}
"""Dtype name to the schema's number."""
_NAMES: dict[int, str] = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_LIMIT = 2**31 - 2**16  # flatbuffer offsets are signed 32-bit


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file.

    Attributes:
        shape: As stored.
        dtype: A key of `TYPES`.
        grid: Of a quantized tensor.
        name: Only inputs and outputs have one; the rest would be bytes nobody reads.
        data: A constant's bytes, flat uint8.
        digest: Of `data`.
        scales: The tensor of a blockwise constant's scales.
        signature: The shape with -1 for each size that the application chooses; None where it chooses none.
    """

    shape: tuple[int, ...]
    dtype: str
    grid: Grid | None = None
    name: str = ""
    data: np.ndarray | None = None
    digest: bytes = b""
    scales: int | None = None
    signature: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Operator:
    """An operator of the file; `inputs` holds -1 for an optional one left out."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any
    module: str

    @property
    def name(self) -> str:
        """``CONV_2D``."""
        return _NAMES[self.code]


@dataclass
class Builder:
    """Collects a model's tensors and operators in execution order."""

    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    _constants: dict[Any, int] = field(default_factory=dict)

    def tensor(self, shape: Sequence[int], dtype: str, grid: Grid | None = None, name: str = "") -> int:
        """A tensor that an operator or the caller fills. Returns its index."""
        self.tensors.append(Tensor(tuple(int(s) for s in shape), dtype, grid, name))
        return len(self.tensors) - 1

    def constant(self, array: np.ndarray, grid: Grid | None = None, *, dtype: str | None = None, scales: int | None = None) -> int:
        """A constant of `array`'s dtype, or int4 packed two to a byte; equal constants share one tensor."""
        dtype = dtype or array.dtype.name
        flat = pack_int4(array) if dtype == "int4" else np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        digest = _digest(flat)
        key = (array.shape, dtype, grid, scales, digest)
        if key not in self._constants:
            self.tensors.append(Tensor(array.shape, dtype, grid, "", flat, digest, scales))
            self._constants[key] = len(self.tensors) - 1
        return self._constants[key]

    def operator(self, code: int, inputs: Sequence[int], outputs: Sequence[int], options: Any = None, module: str = "") -> None:
        """Append an operator; its version follows from its inputs' dtypes."""
        self.operators.append(Operator(code, tuple(inputs), tuple(outputs), options, module))

    def live(self, outputs: Sequence[int]) -> list[Operator]:
        """The operators that `outputs` need, in order."""
        needed, kept = set(outputs), []
        for op in reversed(self.operators):
            if needed.intersection(op.outputs):
                needed.update(op.inputs)
                kept.append(op)
        return kept[::-1]

    def serialize(
        self, inputs: Mapping[str, int], outputs: Mapping[str, int], description: str, metadata: Mapping[str, bytes]
    ) -> memoryview:
        """The model as a flatbuffer with one signature, ``serving_default``.

        Raises:
            ConversionError: It would exceed 2 GB.
        """
        operators = self.live(tuple(outputs.values()))
        model = _Packing(self, operators, inputs, outputs).model(description, metadata)
        size = sum(len(b.data) for b in model.buffers if b.data is not None)
        if size > _LIMIT:
            held = f"the model holds {size / 2**30:.1f} GiB of weights"
            raise ConversionError(f"{held}; a .tflite file ends at 2 GiB", next_step="quantize the weights")
        flat = flatbuffers.Builder(size + 2**16 + 512 * len(operators))
        flat.Finish(model.Pack(flat), b"TFL3")
        return memoryview(flat.Bytes)[flat.Head() :]


def _digest(data: np.ndarray) -> bytes:
    return hashlib.sha256(data.data).digest()  # most processors have instructions for it


def pack_int4(array: np.ndarray) -> np.ndarray:
    """Two 4-bit integers a byte, the first in the low half; an odd last one is padded with 0."""
    flat = array.reshape(-1).astype(np.uint8) & 0xF
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    return (flat[0::2] | (flat[1::2] << 4)).astype(np.uint8)


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose bytes start at a multiple of 16, as the schema demands (``force_align: 16``)."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        if self.data is None:
            return int(super().Pack(builder))
        builder.StartVector(1, len(self.data), 16)
        builder.head = UOffsetTFlags.py_type(builder.Head() - len(self.data))
        builder.Bytes[builder.Head() : builder.Head() + len(self.data)] = memoryview(self.data)
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


class _SharedGrid(schema.QuantizationParametersT):  # type: ignore[misc]
    """A grid that is written once, however many tensors lie on it.

    Offsets may point to one place as often as they like. A per-channel weight and its bias each need a 64-bit zero for every
    channel: repeated, these are a twentieth of an int8 file.
    """

    def __init__(self, grid: Grid, written: dict[Any, int]) -> None:
        super().__init__()
        self.grid, self.written = grid, written

    def Pack(self, builder: flatbuffers.Builder) -> int:
        key = (self.grid.scale, self.grid.zero_point, self.grid.axis)
        if key not in self.written:
            scale = self._vector(builder, np.asarray(self.grid.scale, np.float32))
            zero_point = self._vector(builder, np.asarray(self.grid.zero_point, np.int64))
            schema.QuantizationParametersStart(builder)
            schema.QuantizationParametersAddScale(builder, scale)
            schema.QuantizationParametersAddZeroPoint(builder, zero_point)
            schema.QuantizationParametersAddQuantizedDimension(builder, self.grid.axis or 0)
            self.written[key] = int(schema.QuantizationParametersEnd(builder))
        return self.written[key]

    def _vector(self, builder: flatbuffers.Builder, values: np.ndarray) -> int:
        key = (values.dtype.name, values.tobytes())
        if key not in self.written:
            self.written[key] = int(builder.CreateNumpyVector(values))
        return self.written[key]


class _Packing:
    """Renumbers what is live and turns it into the schema's objects."""

    def __init__(self, builder: Builder, operators: Sequence[Operator], inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        self.builder, self.operators, self.inputs, self.outputs = builder, operators, inputs, outputs
        used = {*inputs.values(), *outputs.values()}
        for op in operators:
            used.update(i for i in (*op.inputs, *op.outputs) if i >= 0)
        used.update(s for t in list(used) if (s := builder.tensors[t].scales) is not None)
        self.index = {old: new for new, old in enumerate(sorted(used))}
        self.buffers = [schema.BufferT()]
        self.buffer_of: dict[bytes, int] = {}
        self.codes: dict[tuple[int, int], int] = {}
        self.written: dict[Any, int] = {}

    def model(self, description: str, metadata: Mapping[str, bytes]) -> Any:
        graph = schema.SubGraphT(
            tensors=[self._tensor(self.builder.tensors[old]) for old in self.index],
            inputs=[self.index[i] for i in self.inputs.values()],
            outputs=[self.index[o] for o in self.outputs.values()],
            operators=[self._operator(op) for op in self.operators],
            name=b"main",
        )
        texts = {name: self._buffer(np.frombuffer(data, np.uint8), data) for name, data in metadata.items()}
        entries = [schema.MetadataT(name=name.encode(), buffer=buffer) for name, buffer in texts.items()]
        return schema.ModelT(
            version=3,
            operatorCodes=[schema.OperatorCodeT(deprecatedBuiltinCode=min(c, 127), version=v, builtinCode=c) for c, v in self.codes],
            subgraphs=[graph],
            description=description.encode(),
            buffers=self.buffers,
            metadata=entries or None,
            signatureDefs=[self._signature()],
        )

    def _buffer(self, data: np.ndarray, digest: bytes) -> int:
        if digest not in self.buffer_of:
            self.buffer_of[digest] = len(self.buffers)
            self.buffers.append(_AlignedBuffer(data=data))
        return self.buffer_of[digest]

    def _tensor(self, tensor: Tensor) -> Any:
        return schema.TensorT(
            shape=np.asarray(tensor.shape, np.int32),
            type=TYPES[tensor.dtype],
            buffer=self._buffer(tensor.data, tensor.digest) if tensor.data is not None else 0,
            name=tensor.name.encode() if tensor.name else None,
            quantization=self._quantization(tensor),
            hasRank=True,
            shapeSignature=np.asarray(tensor.signature, np.int32) if tensor.signature is not None else None,
        )

    def _quantization(self, tensor: Tensor) -> Any:
        if tensor.scales is not None:
            assert tensor.grid is not None and tensor.grid.block is not None
            block = schema.BlockwiseQuantizationT(scales=self.index[tensor.scales], zeroPoints=-1, blockSize=tensor.grid.block)
            kind = schema.QuantizationDetails.BlockwiseQuantization
            return schema.QuantizationParametersT(details=block, detailsType=kind)
        if tensor.grid is None:
            return None
        return _SharedGrid(tensor.grid, self.written)

    def _operator(self, op: Operator) -> Any:
        dtypes = [self.builder.tensors[i].dtype for i in op.inputs if i >= 0]
        code = (op.code, version(op.name, dtypes))
        kind = getattr(schema.BuiltinOptions, type(op.options).__name__[:-1]) if op.options is not None else 0
        return schema.OperatorT(
            opcodeIndex=self.codes.setdefault(code, len(self.codes)),
            inputs=[self.index.get(i, -1) for i in op.inputs],
            outputs=[self.index[o] for o in op.outputs],
            builtinOptionsType=kind,
            builtinOptions=op.options,
        )

    def _signature(self) -> Any:
        def tensor_map(names: Mapping[str, int]) -> list[Any]:
            return [schema.TensorMapT(name=name.encode(), tensorIndex=self.index[i]) for name, i in names.items()]

        inputs, outputs = tensor_map(self.inputs), tensor_map(self.outputs)
        return schema.SignatureDefT(inputs=inputs, outputs=outputs, signatureKey=b"serving_default", subgraphIndex=0)
