"""What an emitter works with: operands by node, operations by name, and what they make."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from edgekit.errors import ConversionError
from edgekit.graph import constant_value, constraints_of, dtype_of, module_path, op_name, shape_of
from edgekit.plugins import EmittedWeight
from edgekit.targets.platform import Platform
from edgekit_converters.coreml.program import Argument, Operation, Ref
from edgekit_converters.coreml.values import Constant, Value, Variable, rounded

MAX_RANK = 5
"""Core ML's tensors have no more dimensions."""
_INTEGERS = {"int64": "int32", "int16": "int32", "int8": "int32", "uint8": "int32"}
_CASTS = {"float16": "fp16", "float32": "fp32", "int32": "int32", "bool": "bool"}


@dataclass(frozen=True)
class Result:
    """What an operation makes, where that is not what the node being written is.

    Attributes:
        shape: Static.
        dtype: In the program.
        name: Of the operation.
    """

    shape: Sequence[int] | None = None
    dtype: str | None = None
    name: str | None = None


@dataclass
class Emission:
    """The state of one walk over a graph.

    Attributes:
        compute: What float operators compute in, ``float16`` or ``float32``.
        platform: The version of iOS the file is for.
        operations: Written so far.
        values: What each node written so far is in the program.
        results: All results of the nodes that have several (``topk``).
        node: The one being written.
        notes: Concessions the manifest lists.
        weights: What reading the file back must give.
    """

    compute: str
    platform: Platform
    operations: list[Operation] = field(default_factory=list)
    values: dict[fx.Node, Value] = field(default_factory=dict)
    results: dict[fx.Node, tuple[Value, ...]] = field(default_factory=dict)
    node: fx.Node | None = None
    notes: list[str] = field(default_factory=list)
    weights: list[EmittedWeight] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _written: dict[Any, Variable] = field(default_factory=dict)

    # ---- reading the graph

    @property
    def module(self) -> str:
        """Path of the user's module being written."""
        return "" if self.node is None else module_path(self.node)

    def dtype(self, node: fx.Node) -> str:
        """What a node's result is in the program."""
        return self.written_dtype(str(dtype_of(node)).removeprefix("torch."))

    def written_dtype(self, dtype: str) -> str:
        """What a dtype of the graph becomes: floats the compute dtype, integers int32."""
        return self.compute if dtype.startswith("float") else _INTEGERS.get(dtype, dtype)

    def value(self, operand: Any) -> Value:
        """The value of a node, of a number or of an array; a value as it is."""
        if isinstance(operand, (Variable, Constant)):
            return operand
        if not isinstance(operand, fx.Node):
            return Constant(np.asarray(operand))
        if operand not in self.values:
            tensor = constant_value(operand)
            if tensor is None:
                raise self.refusal("its operand was never written")
            self.values[operand] = Constant(as_array(tensor), str(operand.target), module_path(operand), constraints_of(operand))
        return self.values[operand]

    def refusal(self, why: str, *, accepted: str | None = None, next_step: str | None = None) -> ConversionError:
        """The error to raise where Core ML cannot express the node being written."""
        assert self.node is not None
        shapes = [shape_of(n) for n in self.node.all_input_nodes if isinstance(n.meta.get("val"), Tensor)]
        name = f"aten.{op_name(self.node)}"
        message = f"cannot write {name} for Core ML: {why}"
        return ConversionError(message, op=name, shapes=shapes, accepted=accepted, module=self.module, next_step=next_step)

    def note(self, text: str) -> None:
        """A concession the manifest lists."""
        if text not in self.notes:
            self.notes.append(text)

    # ---- writing

    def op(self, kind: str, result: Result = Result(), **arguments: Any) -> Variable:
        """Write an operation.

        Args:
            kind: As the MIL builder calls it.
            result: What it makes, where that is not what the node being written is.
            **arguments: Nodes, values, lists of them, arrays, numbers and words, by parameter name; None is left out.
        """
        given = {key: self._argument(value) for key, value in arguments.items() if value is not None}
        shape = shape_of(self._current()) if result.shape is None else tuple(result.shape)
        if len(shape) > MAX_RANK:
            why, step = f"its result has {len(shape)} dimensions", "merge dimensions that stay together"
            raise self.refusal(why, accepted=f"up to {MAX_RANK}", next_step=step)
        made = Variable(result.name or self.fresh(kind), shape, result.dtype or self.dtype(self._current()))
        self.operations.append(Operation(kind, made.name, given, self.module))
        return made

    def ops(self, kind: str, outcomes: Sequence[tuple[Sequence[int], str]], **arguments: Any) -> tuple[Variable, ...]:
        """Write an operation with several results, of these shapes and dtypes."""
        name = self.fresh(kind)
        given = {key: self._argument(value) for key, value in arguments.items() if value is not None}
        self.operations.append(Operation(kind, name, given, self.module))
        return tuple(Variable(name, tuple(shape), dtype, index) for index, (shape, dtype) in enumerate(outcomes))

    def constant_op(self, constant: Constant, kind: str, values: np.ndarray, **arguments: Any) -> Variable:
        """Write the operation that ends in a constant, and record what it must come to: `values`."""
        name = self.unused(constant.label) if constant.label else self.fresh("constant")
        self.add_weight(name, constant, values)
        return self.op(kind, Result(values.shape, values.dtype.name, name), **arguments)

    def number(self, value: float) -> np.ndarray:
        """A scalar in the compute dtype."""
        return rounded(np.asarray(value, np.float32), self.compute)

    def cast(self, operand: Any, dtype: str, name: str | None = None) -> Value:
        """A value in another dtype; itself if it has that already."""
        value = self.value(operand)
        if isinstance(value, Constant) and value.grid is None and not value.constraints:
            if self.written_dtype(value.dtype) == dtype:
                return value
            return Constant(value.data.astype(np.float32 if dtype.startswith("float") else dtype), value.label, value.module)
        written = self.written(value)
        if written.dtype == dtype:
            return written
        return self.op("cast", Result(written.shape, dtype, name), x=written, dtype=_CASTS[dtype])

    def floats(self, operand: Any) -> Value:
        """A value in the compute dtype."""
        return self.cast(operand, self.compute)

    def written(self, operand: Any) -> Variable:
        """The variable of a value; a constant is written if it was not yet."""
        value = self.value(operand)
        return value if isinstance(value, Variable) else self._constant(value)

    def reshaped(self, operand: Any, shape: Sequence[int]) -> Value:
        """A value in another shape: a constant at once, anything else by ``reshape``."""
        value = self.value(operand)
        if value.shape == tuple(shape):
            return value
        if isinstance(value, Constant):
            return Constant(value.data.reshape(shape), value.label, value.module)
        return self.op("reshape", Result(shape, value.dtype), x=value, shape=list(shape))

    def add_weight(self, name: str, constant: Constant, values: np.ndarray) -> None:
        """Record what reading a constant back must give."""
        self.weights.append(EmittedWeight(name, constant.module, values))

    def fresh(self, stem: str) -> str:
        """A name no operation has, from the module's path and a word."""
        return self.unused(f"{self.module}_{stem}" if self.module else stem)

    def unused(self, wanted: str) -> str:
        """A name like `wanted` that is an identifier and that no operation has."""
        stem = identifier(wanted)
        name, count = stem, 0
        while name in self._names:
            count += 1
            name = f"{stem}_{count}"
        self._names.add(name)
        return name

    def _current(self) -> fx.Node:
        assert self.node is not None
        return self.node

    def _argument(self, value: Any) -> Argument:
        if isinstance(value, (fx.Node, Variable, Constant)):
            variable = self.written(value)
            return Ref(variable.name, variable.index)
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], (fx.Node, Variable, Constant)):
            return [Ref(v.name, v.index) for v in map(self.written, value)]
        return list(value) if isinstance(value, tuple) else value

    def _constant(self, constant: Constant) -> Variable:
        """Write a constant in the form its constraints and its grid ask for, once for all that read it."""
        from edgekit_converters.coreml.weights import write_constant  # noqa: PLC0415 - it writes operations, by this module

        key = _identity(constant)
        if key not in self._written:
            self._written[key] = write_constant(self, constant)
        return self._written[key]


def identifier(text: str) -> str:
    """`text` with _ for whatever Core ML allows in no name."""
    clean = re.sub(r"[^A-Za-z0-9_]", "_", text)
    return clean if re.match(r"[A-Za-z_]", clean) else f"_{clean}"


def as_array(tensor: Tensor) -> np.ndarray:
    """A constant's data; 64-bit integers as 32-bit ones, saturating: they are sizes, indices and ends of slices."""
    if tensor.dtype == torch.int64:
        info = torch.iinfo(torch.int32)
        return np.ascontiguousarray(tensor.clamp(info.min, info.max).to(torch.int32).numpy())
    return np.ascontiguousarray((tensor.float() if tensor.dtype in (torch.float64, torch.bfloat16) else tensor).numpy())


def _identity(constant: Constant) -> tuple[Any, ...]:
    """Equal for constants that are written alike."""
    digest = hashlib.sha256(np.ascontiguousarray(constant.data).tobytes()).digest()
    imposed = tuple(id(c) for c in constant.constraints)
    return digest, constant.data.shape, constant.data.dtype.name, constant.grid, imposed, constant.half
