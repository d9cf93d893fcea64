"""What an emitter works with: operands as ONNX values, and new nodes under the user's module names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import fx

from edgekit.errors import ConversionError
from edgekit.graph import constant_value, module_path, op_name, shape_of
from edgekit.tensors import Grid

MODULE = "edgekit.module"
"""Key of a node's metadata property that holds the path of the user's module."""

DTYPES = {
    torch.float32: ir.DataType.FLOAT,
    torch.float64: ir.DataType.FLOAT,
    torch.float16: ir.DataType.FLOAT16,
    torch.int8: ir.DataType.INT8,
    torch.uint8: ir.DataType.UINT8,
    torch.int16: ir.DataType.INT16,
    torch.int32: ir.DataType.INT32,
    torch.int64: ir.DataType.INT64,
    torch.bool: ir.DataType.BOOL,
}

Operand = Any
"""An fx node, a Python number, a numpy array or an `ir.Value`."""


@dataclass(frozen=True)
class Stored:
    """A constant in compressed form.

    Attributes:
        array: Its integers, or half-precision floats.
        grid: Of the integers, else None.
        name: A hint.
        scales: float32, where blocks along `block_axis` share one.
        block_axis: The axis of the blocks.
    """

    array: np.ndarray
    grid: Grid | None
    name: str
    scales: np.ndarray | None = None
    block_axis: int = -1

    def transposed(self, order: Sequence[int]) -> Stored:
        """The same with its dimensions in `order`."""
        grid, scales = self.grid, self.scales
        if grid is not None and grid.axis is not None:
            grid = replace(grid, axis=list(order).index(grid.axis))
        block_axis = self.block_axis if scales is None else list(order).index(self.block_axis)
        laid = None if scales is None else np.ascontiguousarray(scales.transpose(order))
        return Stored(np.ascontiguousarray(self.array.transpose(order)), grid, self.name, laid, block_axis)


@dataclass
class Emission:
    """The state of one walk over a graph.

    Attributes:
        values: What each fx node written so far is in the file.
        results: All results of nodes that have several; ``getitem`` reads them.
        nodes: The file's nodes, in execution order.
        initializers: The file's constants by name.
        path: The user's module being written.
        notes: Concessions the manifest lists.
        opset: The least opset that has everything written so far.
        grids: The grid of every dequantized value.
        stored: The constant behind every value that is one in compressed form.
        taken: Names of the outputs written so far.
        open: Values whose first dimension is the batch, where the graph takes any; their shapes say 1 there.
        half: Whether the file will compute in half precision (`half.in_half`).
    """

    values: dict[fx.Node, ir.Value] = field(default_factory=dict)
    results: dict[fx.Node, tuple[ir.Value, ...]] = field(default_factory=dict)
    nodes: list[ir.Node] = field(default_factory=list)
    initializers: dict[str, ir.Value] = field(default_factory=dict)
    path: str = ""
    notes: list[str] = field(default_factory=list)
    opset: int = 19
    grids: dict[ir.Value, Grid] = field(default_factory=dict)
    stored: dict[ir.Value, Stored] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    open: set[ir.Value] = field(default_factory=set)
    half: bool = False
    _names: Counter[str] = field(default_factory=Counter)
    _constants: dict[Any, ir.Value] = field(default_factory=dict)
    _once: dict[Any, ir.Value] = field(default_factory=dict)

    # ---- names

    def reserve(self, name: str) -> str:
        """A name for a value or node that nothing else has: `name` itself, or with a number behind it."""
        self._names[name] += 1
        while self._names[name] > 1:
            fresh = f"{name}_{self._names[name] - 1}"
            if not self._names[fresh]:
                self._names[fresh] += 1
                return fresh
            self._names[name] += 1
        return name

    # ---- reading the graph

    def value(self, operand: Operand, like: ir.Value | None = None) -> ir.Value:
        """The value of an operand; a Python number takes the dtype of `like`."""
        if isinstance(operand, ir.Value):
            return operand
        if not isinstance(operand, fx.Node):
            return self.constant(_number(operand, like))
        if operand not in self.values:
            tensor = constant_value(operand)
            if tensor is None:
                raise self.refusal(operand, "its operand was never written")
            self.values[operand] = self.constant(as_array(tensor), str(operand.target))
        return self.values[operand]

    def refusal(self, node: fx.Node, why: str, *, accepted: str | None = None, next_step: str | None = None) -> ConversionError:
        """The error to raise where ONNX cannot express `node`."""
        shapes = [shape_of(n) for n in node.all_input_nodes if isinstance(n.meta.get("val"), torch.Tensor)]
        name = f"aten.{op_name(node)}"
        return ConversionError(
            f"cannot write {name} as ONNX: {why}", op=name, shapes=shapes, accepted=accepted, module=module_path(node), next_step=next_step
        )

    def note(self, text: str) -> None:
        """A concession the manifest lists."""
        if text not in self.notes:
            self.notes.append(text)

    # ---- writing

    def constant(self, array: np.ndarray, name: str = "constant", dtype: ir.DataType | None = None) -> ir.Value:
        """An initializer; equal constants are stored once.

        Args:
            array: Its elements.
            name: A hint.
            dtype: Where numpy has none of its own (``INT4``).
        """
        array = np.asarray(array, order="C")  # keeps scalars scalar
        key = (dtype, array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            fresh = self.reserve(name)
            kind = dtype or ir.DataType.from_numpy(array.dtype)
            tensor = ir.tensor(array, dtype=kind, name=fresh)
            value = ir.Value(name=fresh, shape=ir.Shape(array.shape), type=ir.TensorType(kind), const_value=tensor)
            self._constants[key] = self.initializers[fresh] = value
        return self._constants[key]

    def ints(self, numbers: Sequence[int]) -> ir.Value:
        """A constant vector of int64: shapes, axes, pads."""
        return self.constant(np.asarray(list(numbers), np.int64), "ints")

    def op(
        self,
        op_type: str,
        inputs: Sequence[Operand | None],
        shape: Sequence[int],
        attributes: Mapping[str, Any] | None = None,
        *,
        dtype: ir.DataType | None = None,
    ) -> ir.Value:
        """Write a node with one result of `shape`; its dtype is that of the first input unless given."""
        return self.ops(op_type, inputs, [shape], attributes, dtypes=[dtype])[0]

    def ops(
        self,
        op_type: str,
        inputs: Sequence[Operand | None],
        shapes: Sequence[Sequence[int]],
        attributes: Mapping[str, Any] | None = None,
        *,
        dtypes: Sequence[ir.DataType | None] | None = None,
    ) -> tuple[ir.Value, ...]:
        """Write a node with a result of each of `shapes`."""
        given = [None if x is None else self.value(x) for x in inputs]
        first = next((x.dtype for x in given if x is not None and x.dtype is not None), ir.DataType.FLOAT)
        name = self.reserve(f"{self.path}/{op_type}" if self.path else op_type)
        kinds = dtypes or [None] * len(shapes)
        results = [
            ir.Value(name=self.reserve(f"{name}_output" + (f"_{i}" if i else "")), shape=ir.Shape(tuple(s)), type=ir.TensorType(d or first))
            for i, (s, d) in enumerate(zip(shapes, kinds, strict=True))
        ]
        if any(x in self.open for x in given if x is not None):
            self.open.update(results)
        properties = {MODULE: self.path} if self.path else {}
        self.nodes.append(ir.node(op_type, given, dict(attributes or {}), outputs=results, name=name, metadata_props=properties))
        return tuple(results)

    def once(self, key: Any, write: Any) -> ir.Value:
        """What `write` writes, written once for each key."""
        if key not in self._once:
            self._once[key] = write()
        return self._once[key]

    def cast(self, operand: Operand, dtype: ir.DataType) -> ir.Value:
        """The operand in another dtype; a Cast only where it has not that already."""
        value = self.value(operand)
        if value.dtype == dtype:
            return value
        if value.const_value is not None:
            return self.constant(value.const_value.numpy().astype(dtype.numpy()), value.name or "constant")
        return self.once(("cast", value, dtype), lambda: self.op("Cast", [value], static(value), {"to": dtype}, dtype=dtype))

    def reshaped(self, operand: Operand, shape: Sequence[int]) -> ir.Value:
        """The operand in another shape."""
        value = self.value(operand)
        if static(value) == tuple(shape):
            return value
        return self.op("Reshape", [value, self.ints((-1, *shape[1:]) if value in self.open else shape)], shape)

    def transposed(self, operand: Operand, order: Sequence[int]) -> ir.Value:
        """The operand with its dimensions in `order`."""
        value = self.value(operand)
        if value.const_value is not None:
            return self.constant(value.const_value.numpy().transpose(order), value.name or "constant")
        shape = static(value)
        return self.op("Transpose", [value], [shape[d] for d in order], {"perm": list(order)})


def static(value: ir.Value) -> tuple[int, ...]:
    """The shape of a value; 1 for a batch left open."""
    assert value.shape is not None
    return tuple(d if isinstance(d, int) else 1 for d in value.shape)


def dtype_of(node: fx.Node) -> ir.DataType:
    """The ONNX dtype of a node's (first) result."""
    found = node.meta["val"]
    return DTYPES[(found[0] if isinstance(found, (tuple, list)) else found).dtype]


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """A constant of the graph as it is stored."""
    array: np.ndarray = tensor.detach().cpu().contiguous().numpy()
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _number(number: Any, like: ir.Value | None) -> np.ndarray:
    if like is not None and like.dtype is not None:
        return np.asarray(number, like.dtype.numpy())
    if isinstance(number, (bool, np.ndarray)):
        return np.asarray(number)
    return np.asarray(number, np.float32 if isinstance(number, float) else np.int64)
