"""A ``.tflite`` file as the plan's compiler sees it, read with the official schema module. Imported in workers only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import numpy as np

from edgekit.errors import ConversionError

_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file."""

    index: int
    shape: tuple[int, ...]
    type: int
    scale: tuple[float, ...]
    zero: int
    data: bytes

    @property
    def elements(self) -> int:
        """How many."""
        return math.prod(self.shape)

    def integers(self) -> np.ndarray:
        """The values of an int32 constant."""
        return np.frombuffer(self.data, "<i4")

    def image(self) -> tuple[int, int, int]:
        """Height, width and channels of a tensor of one sample."""
        shape = (1,) * (4 - len(self.shape)) + self.shape
        return shape[1], shape[2], shape[3]


@dataclass(frozen=True)
class Operator:
    """An operator of the file.

    Attributes:
        index: Its place.
        name: As the schema calls it.
        version: Of its kernel.
        inputs: None for an optional one left out.
        output: Its result.
        options: The schema's object.
    """

    index: int
    name: str
    version: int
    inputs: tuple[Tensor | None, ...]
    output: Tensor
    options: Any

    def given(self, position: int) -> Tensor:
        """An operand that must be there."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is None:
            raise self.refused(f"operand {position} is missing")
        return tensor

    def refused(self, why: str) -> ConversionError:
        """The firmware cannot run it."""
        return ConversionError(f"the firmware cannot run {self.name} (node number {self.index}): {why}", op=self.name)


@dataclass(frozen=True)
class Ends:
    """The inputs and the outputs of a model, as numbers of its tensors."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read(model: Any) -> tuple[list[Tensor], list[Operator], Ends]:
    """Tensors, operators, inputs and outputs.

    Raises:
        ConversionError: The firmware runs no such model.
    """
    graph = model.subgraphs[0]
    ends = Ends(tuple(map(int, graph.inputs)), tuple(map(int, graph.outputs)))
    if len(model.subgraphs) > 1 or len({*ends.inputs, *ends.outputs}) < len(ends.inputs) + len(ends.outputs):
        raise ConversionError("the firmware runs models with one subgraph, whose inputs and outputs are tensors of their own")
    tensors = [_tensor(i, t, model) for i, t in enumerate(graph.tensors)]
    operators = []
    for index, op in enumerate(graph.operators):
        code = model.operatorCodes[op.opcodeIndex]
        name = _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs = tuple(None if i < 0 else tensors[i] for i in op.inputs)
        operators.append(Operator(index, name, int(code.version), inputs, tensors[op.outputs[0]], op.builtinOptions))
        if len(op.outputs) > 1:
            raise operators[-1].refused("it has one result of each operator")
    for operator in operators:
        for tensor in (*(t for t in operator.inputs if t is not None and not t.data), operator.output):
            if tensor.type != schema.TensorType.INT8:
                raise operator.refused("it computes in int8 only; convert with an int8 recipe and int8 input and output")
            if tensor.shape[:1] not in ((1,), ()) and len(tensor.shape) > 2:
                raise operator.refused(f"it runs one sample at a time, and a tensor has shape {list(tensor.shape)}")
    return tensors, operators, ends


def _tensor(index: int, tensor: Any, model: Any) -> Tensor:
    quantization, data = tensor.quantization, model.buffers[tensor.buffer].data
    scale = () if quantization is None or quantization.scale is None else tuple(float(s) for s in quantization.scale)
    zero = 0 if quantization is None or quantization.zeroPoint is None else int(quantization.zeroPoint[0])
    shape = () if tensor.shape is None else tuple(int(d) for d in tensor.shape)
    return Tensor(index, shape, int(tensor.type), scale, zero, b"" if data is None else bytes(bytearray(data)))
