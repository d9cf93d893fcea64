"""What an emitter works with: operands brought into the form a kernel wants, and results in the form it gives.

The two questions every emitter answers with these tools: *in which order must my operand's dimensions lie* (`operand`,
`aligned`), and *how does my result lie* (`Form`, `op`). Transposes, reshapes and changes of grid are written here alone, only where an
operand does not already lie as asked, and once for all consumers that ask the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import numpy as np
import torch
from torch import fx

from edgekit.errors import ConversionError
from edgekit.graph import constant_value, module_path, op_name, shape_of
from edgekit.tensors import Grid
from edgekit_converters._integers import dequantized
from edgekit_converters.litert.builder import Builder
from edgekit_converters.litert.layout import Layout
from edgekit_converters.litert.values import Value

OP = schema.BuiltinOperator
NONE = schema.ActivationFunctionType.NONE
_INLINE = 64
"""Compressed constants of at most this many elements are written as float where float is wanted: a DEQUANTIZE takes more bytes."""


@dataclass(frozen=True)
class Outcome:
    """What an emitter's result must be.

    Attributes:
        node: The ATen node being written.
        shape: Logical shape of the result.
        dtype: Of the result's storage.
        compute: Dtype the kernel computes in: ``float32``, ``int8`` or ``int16``.
        grid: The result's integer grid, or None.
        activation: ``ActivationFunctionType`` to fuse.
    """

    node: fx.Node
    shape: tuple[int, ...]
    dtype: str
    compute: str
    grid: Grid | None = None
    activation: int = NONE

    @property
    def integer(self) -> bool:
        """Whether the kernel computes in integers."""
        return self.compute != "float32"


@dataclass(frozen=True)
class Form:
    """How a result lies: its layout and the shape of the stored tensor."""

    layout: Layout
    shape: tuple[int, ...]

    @classmethod
    def of(cls, shape: Sequence[int], order: Sequence[int] | None = None) -> Form:
        """A logical `shape` stored with its dimensions in `order` (default: as they come)."""
        order = tuple(range(len(shape))) if order is None else tuple(order)
        return cls(Layout.stored(shape, order), tuple(shape[d] for d in order))


@dataclass
class Emission:
    """The state of one walk over a graph.

    Attributes:
        builder: The file so far.
        values: What each node written so far is in the file.
        results: All results of the nodes that have several (``topk``); ``getitem`` reads them.
        path: The user's module being written.
        notes: Concessions the manifest lists.
        changes: Of nodes whose sizes stay open: for each dimension by how much neighbouring sizes differ, by name.
    """

    builder: Builder = field(default_factory=Builder)
    values: dict[fx.Node, Value] = field(default_factory=dict)
    results: dict[fx.Node, tuple[Value, ...]] = field(default_factory=dict)
    path: str = ""
    notes: list[str] = field(default_factory=list)
    changes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    _memo: dict[Any, int] = field(default_factory=dict)

    # ---- reading the graph

    def value(self, node: Any) -> Value:
        """The value of a node, or of a Python number."""
        if not isinstance(node, fx.Node):
            return Value.constant(np.asarray(node, np.float32 if isinstance(node, float) else np.int32))
        if node not in self.values:
            tensor = constant_value(node)
            if tensor is None:
                raise self.refusal(node, "its operand was never written")
            self.values[node] = Value.constant(as_array(tensor))
        return self.values[node]

    def refusal(self, node: fx.Node, why: str, *, accepted: str | None = None, next_step: str | None = None) -> ConversionError:
        """The error to raise where TFLite cannot express `node`."""
        shapes = [shape_of(n) for n in node.all_input_nodes if isinstance(n.meta.get("val"), torch.Tensor)]
        name = f"aten.{op_name(node)}"
        return ConversionError(
            f"cannot write {name} as TFLite: {why}",
            op=name,
            shapes=shapes,
            accepted=accepted,
            module=module_path(node),
            next_step=next_step,
        )

    def note(self, text: str) -> None:
        """A concession the manifest lists."""
        if text not in self.notes:
            self.notes.append(text)

    def change(self, node: Any) -> tuple[int, ...]:
        """For each dimension of a node, by how much neighbouring sizes that it may have differ; 0 for one size."""
        return self.changes.get(node.name) or (0,) * len(shape_of(node))

    # ---- operands

    def shape(self, value: Value) -> tuple[int, ...]:
        """Shape of the stored tensor behind a value."""
        return self.builder.tensors[value.tensor].shape if value.data is None else value.data.shape

    def order(self, value: Value) -> tuple[int, ...] | None:
        """Order in which the value's dimensions lie; None if interleaved."""
        return value.layout.order(self.shape(value))

    def near_order(self, value: Value) -> tuple[int, ...]:
        """The order in which the dimensions lie; of interleaved ones (a channel shuffle), by where each begins."""
        order = self.order(value)
        return order or tuple(sorted(range(value.rank), key=lambda d: min(value.layout.dims[d], default=-1)))

    def order_with_last(self, value: Value, dim: int) -> tuple[int, ...]:
        """The order nearest to how the value lies that has `dim` innermost."""
        order = self.near_order(value)
        return (*(d for d in order if d != dim), dim)

    def operand(
        self, out: Outcome, value: Value | Any, order: Sequence[int] | None = None, *, share: bool = False, trim: bool = False
    ) -> int:
        """The tensor of an operand as `out`'s kernel reads it.

        Args:
            out: Decides the dtype: integers stay integers for an integer kernel and are dequantized for a float one.
            value: A value, a node or a number.
            order: Stored order of the dimensions; None takes it as it lies.
            share: Requantize to the result's grid, for kernels that move integers without looking at scales.
            trim: Leading dimensions of size 1 may be missing, for kernels that broadcast.
        """
        value = value if isinstance(value, Value) else self.value(value)
        if share and out.integer and out.grid is not None:
            value = self.on_grid(value, out.grid)
        if out.integer or (value.grid is None and value.dtype != "float16"):
            return self.stored(value, order, trim=trim)
        return self.stored(self.real(value, order), order, trim=trim)

    def stored(self, value: Value, order: Sequence[int] | None = None, *, trim: bool = False) -> int:
        """The tensor of a value with its dimensions stored in `order`, written if it does not lie so already."""
        if value.data is not None:
            return self._stored_constant(value, order, trim)
        if order is None:
            return value.tensor
        wanted = tuple(value.shape[d] for d in order)
        have = self.shape(value)
        if value.layout.sequence(order) == tuple(range(len(value.layout.axes))):
            if trim and _trimmed(have) == _trimmed(wanted) and len(have) <= len(wanted):
                return value.tensor
            return self.reshaped(value.tensor, wanted)
        return self._transposed(value, tuple(order), wanted)

    def _stored_constant(self, value: Value, order: Sequence[int] | None, trim: bool) -> int:
        assert value.data is not None
        order = tuple(range(value.rank)) if order is None else tuple(order)
        laid = value.permute(order)
        assert laid.data is not None
        data, grid = laid.data, laid.grid
        if trim:
            while data.ndim > 0 and data.shape[0] == 1 and (grid is None or grid.axis != 0):
                data = data[0]
                grid = grid if grid is None or grid.axis is None else replace(grid, axis=grid.axis - 1)
        return self.builder.constant(np.ascontiguousarray(data), grid, dtype=value.dtype)

    def _transposed(self, value: Value, order: tuple[int, ...], wanted: tuple[int, ...]) -> int:
        current = self.order(value)
        if current is not None:
            source = self.reshaped(value.tensor, tuple(value.shape[d] for d in current))
            return self.transposed(source, tuple(current.index(d) for d in order))
        have, axes = self.shape(value), value.layout.axes
        if tuple(s for s in have if s != 1) == axes:  # the stored axes themselves, with ones between them
            places = [i for i, s in enumerate(have) if s != 1]
            ones = [i for i, s in enumerate(have) if s == 1]
            moved = self.transposed(value.tensor, (*ones, *(places[a] for a in value.layout.sequence(order))))
            return self.reshaped(moved, wanted)
        runs = value.layout.runs(order)
        pieces = sorted(runs)
        source = self.reshaped(value.tensor, tuple(math.prod(axes[a] for a in piece) for piece in pieces))
        return self.reshaped(self.transposed(source, tuple(pieces.index(run) for run in runs)), wanted)

    def reshaped(self, tensor: int, shape: tuple[int, ...]) -> int:
        """`tensor` with its storage in another shape."""
        if self.builder.tensors[tensor].shape == shape:
            return tensor
        target = self.ints(shape)
        return self.once(OP.RESHAPE, (tensor, target), shape, schema.ReshapeOptionsT(newShape=list(shape)))

    def transposed(self, tensor: int, permutation: tuple[int, ...]) -> int:
        """`tensor` with its storage axes moved; a RESHAPE where only axes of size 1 move."""
        have = self.builder.tensors[tensor].shape
        shape = tuple(have[p] for p in permutation)
        full = [p for p in permutation if have[p] != 1]
        if full == sorted(full):
            return self.reshaped(tensor, shape)
        return self.once(OP.TRANSPOSE, (tensor, self.ints(permutation)), shape, schema.TransposeOptionsT())

    def real(self, value: Value, order: Sequence[int] | None = None) -> Value:
        """The value as float32."""
        if value.dtype == "float32" or (value.grid is None and value.dtype != "float16"):
            return value
        if value.data is not None and value.data.size <= _INLINE and value.block_scales is None:
            data = value.data.astype(np.float32) if value.grid is None else dequantized(value.data, value.grid)
            return Value.constant(data)
        if value.data is not None:
            order = tuple(range(value.rank)) if order is None else tuple(order)
            form = Form.of(value.shape, order)
            source = self.stored(value, order)
        else:
            form, source = Form(value.layout, self.shape(value)), value.tensor
        tensor = self.once(OP.DEQUANTIZE, (source,), form.shape, dtype="float32")
        return Value(form.layout, "float32", tensor=tensor)

    def on_grid(self, value: Value, grid: Grid) -> Value:
        """The value rounded to `grid`."""
        if value.grid == grid:
            return value
        if value.data is not None:
            raise AssertionError("a constant is rounded by its own fake-quantize node")
        tensor = self.once(OP.QUANTIZE, (value.tensor,), self.shape(value), dtype=grid.dtype, grid=grid)
        return replace(value, tensor=tensor, dtype=grid.dtype, grid=grid, dynamic=False)

    def aligned(self, out: Outcome, values: Sequence[Value], *, share: bool = False) -> tuple[list[int], Form]:
        """Operands of a broadcasting kernel, brought to lie alike, and the form of its result."""
        if len({(v.layout, self.shape(v)) for v in values if v.data is None}) == 1 and all(v.data is None for v in values):
            form = Form(values[0].layout, self.shape(values[0]))
            return [self.operand(out, v, share=share) for v in values], form
        rank = len(out.shape)
        values = [v.expand_rank(rank) for v in values]
        order = self.leading_order(values, rank)
        tensors = [self.operand(out, v, order, share=share, trim=True) for v in values]
        shapes = [self.builder.tensors[t].shape for t in tensors]
        return tensors, Form(Layout.stored(out.shape, order), tuple(np.broadcast_shapes(*shapes)))

    def leading_order(self, values: Sequence[Value], rank: int) -> tuple[int, ...]:
        """The order of the largest operand that is not a constant; of equals, of one that was moved off its logical order."""
        identity = tuple(range(rank))
        orders = [(v.layout.size, o != identity, o) for v in values if v.data is None and (o := self._order_in(v)) is not None]
        return max(orders, key=lambda item: item[:2])[2] if orders else identity

    def _order_in(self, value: Value) -> tuple[int, ...] | None:
        shape = self.shape(value)
        return value.layout.order((1,) * (value.rank - len(shape)) + shape)

    # ---- results

    def ints(self, numbers: Sequence[int]) -> int:
        """A constant int32 vector: a shape, a permutation, an axis."""
        return self.builder.constant(np.asarray(numbers, np.int32))

    def op(self, code: int, inputs: Sequence[int], out: Outcome, form: Form, options: Any = None) -> Value:
        """Write one operator and return its result."""
        tensor = self.builder.tensor(form.shape, out.dtype, out.grid)
        self.builder.operator(code, inputs, [tensor], options, self.path)
        return Value(form.layout, out.dtype, out.grid, tensor)

    def unary(self, code: int, value: Value, out: Outcome, options: Any = None, *, share: bool = False) -> Value:
        """Write an elementwise operator: the result lies as the operand does."""
        operand = self.operand(out, value, share=share)
        layout = value.layout
        return self.op(code, [operand], out, Form(layout, self.builder.tensors[operand].shape), options)

    def copy(self, source: int, target: int) -> None:
        """Write the stored tensor `source` to `target` unchanged."""
        shape = self.builder.tensors[target].shape
        self.builder.operator(OP.RESHAPE, [source, self.ints(shape)], [target], schema.ReshapeOptionsT(newShape=list(shape)), self.path)

    def once(
        self,
        code: int,
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        options: Any = None,
        *,
        dtype: str | None = None,
        grid: Grid | None = None,
    ) -> int:
        """Write a data-movement or grid-changing operator, or find the one already written."""
        source = self.builder.tensors[inputs[0]]
        grid = source.grid if dtype is None else grid
        key = (code, inputs, shape, dtype, grid)
        if key not in self._memo:
            self._memo[key] = self.builder.tensor(shape, dtype or source.dtype, grid)
            self.builder.operator(code, inputs, [self._memo[key]], options, self.path)
        return self._memo[key]


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """A constant's array, sharing its memory; 64-bit ids and flags become what TFLite computes in."""
    if tensor.dtype in (torch.int64, torch.int32):
        info = torch.iinfo(torch.int32)
        return np.asarray(tensor.clamp(info.min, info.max).to(torch.int32).numpy())
    if tensor.dtype in (torch.float64, torch.bfloat16):
        tensor = tensor.to(torch.float32)
    return np.asarray(tensor.contiguous().numpy())


def _trimmed(shape: Sequence[int]) -> tuple[int, ...]:
    """`shape` without its leading ones."""
    first = next((i for i, s in enumerate(shape) if s != 1), len(shape))
    return tuple(shape[first:])
