"""One file for many sizes: several files of one model, written at different sizes, merged into one that takes any between.

What is the same in all stays. A dimension that differs is -1 in the shape's signature. A shape, a bound or a target size that differs is
said so that it holds at every size: by a -1, to the end, or computed as the model runs from the shape of a tensor that is there (SHAPE,
GATHER, MUL, ADD, FLOOR_DIV), which LiteRT does once, when it is told the sizes. Whatever else differs cannot be merged, and is an
error that names the operator and the module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import numpy as np
import torch

from edgekit.errors import ConversionError
from edgekit.graph import Graph
from edgekit.resizing import resized
from edgekit.sizes import LARGER_STEP
from edgekit_converters.litert.builder import Builder, Operator, Tensor

OP = schema.BuiltinOperator


@dataclass(frozen=True)
class Walked:
    """What one walk over a graph wrote: a file's tensors and operators, its inputs and outputs by name, and concessions."""

    builder: Builder
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    notes: tuple[str, ...]


def changes_of(graph: Graph) -> dict[str, tuple[int, ...]]:
    """For each node and dimension, by how much neighbouring sizes differ: 0 where all are one, 1 where they do not grow evenly."""
    found: dict[str, tuple[int, ...]] = {}
    base = tuple(o.range.ends[0] for o in graph.open_sizes)
    low = _shapes(graph, base)
    for i, open_size in enumerate(graph.open_sizes):
        (start, end), step = open_size.range.ends, open_size.range.step
        near, far = (_shapes(graph, (*base[:i], size, *base[i + 1 :])) for size in (start + step, end))
        steps = (end - start) // step
        for name, shape in low.items():
            rows = zip(shape, near[name], far[name], found.get(name, (0,) * len(shape)), strict=True)
            found[name] = tuple(before or (n - a if (n - a) * steps == b - a else 1) for a, n, b, before in rows)
    return found


def _shapes(graph: Graph, sizes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    nodes = resized(graph, sizes).nodes
    return {n.name: tuple(n.meta["val"].shape) for n in nodes if isinstance(n.meta.get("val"), torch.Tensor)}


def merged(files: Sequence[Walked]) -> Walked:
    """One file of several that differ in sizes only.

    Args:
        files: The first is of the typical sizes, which the result's shapes say.

    Raises:
        ConversionError: They differ in more than sizes.
    """
    first = files[0]
    merging = _Merging(files)
    for column in _aligned(files):
        merging.operator(column)
    merging.sign()
    return Walked(merging.builder, first.inputs, first.outputs, first.notes)


def _aligned(files: Sequence[Walked]) -> list[tuple[Operator, ...]]:
    """The operators of all files side by side."""
    rows = [f.builder.live(tuple(f.outputs.values())) for f in files]
    for column in zip(*rows, strict=False):
        if len({op.code for op in column}) > 1:
            raise _refusal(
                column[0], f"at another size {', '.join(sorted({op.name for op in column[1:]} - {column[0].name}))} takes its place"
            )
    if len({len(row) for row in rows}) > 1:
        raise _refusal(rows[0][-1], "at another size there are other operators")
    return list(zip(*rows, strict=True))


@dataclass
class _Merging:
    """The file that results, while it grows.

    Attributes:
        files: What is merged.
        builder: The result: the first file's tensors, and operators as far as they are merged.
        same: For each file, its tensors by what they are called in the first.
    """

    files: Sequence[Walked]
    builder: Builder = field(init=False)
    same: list[dict[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        first = self.files[0]
        self.builder = Builder(list(first.builder.tensors))
        self.same = [{first.inputs[name]: tensor for name, tensor in f.inputs.items()} for f in self.files]

    def operator(self, column: Sequence[Operator]) -> None:
        """Write one operator of all files as one."""
        first = column[0]
        inputs = [self._input(column, position) for position in range(len(first.inputs))]
        options = first.options
        for other in column[1:]:
            if not _same_options(first, other):
                raise _refusal(first, "its options depend on the size")
        for position, tensor in enumerate(inputs):
            if tensor is None:
                inputs[position], options = self._sized(column, position, options)
        self.builder.operators.append(replace(first, inputs=tuple(inputs), options=options))  # type: ignore[arg-type]
        for position, tensor in enumerate(first.outputs):
            for names, op in zip(self.same, column, strict=True):
                names[tensor] = op.outputs[position]

    def sign(self) -> None:
        """Mark the sizes that differ."""
        for tensor in self.same[0]:
            shapes = self._shapes(tensor)
            if len(set(shapes)) > 1:
                signature = tuple(sizes[0] if len(set(sizes)) == 1 else -1 for sizes in zip(*shapes, strict=True))
                self.builder.tensors[tensor] = replace(self.builder.tensors[tensor], signature=signature)

    def _shapes(self, tensor: int) -> list[tuple[int, ...]]:
        return [f.builder.tensors[names[tensor]].shape for f, names in zip(self.files, self.same, strict=True)]

    def _tensors(self, column: Sequence[Operator], position: int) -> list[Tensor]:
        return [f.builder.tensors[op.inputs[position]] for f, op in zip(self.files, column, strict=True)]

    def _input(self, column: Sequence[Operator], position: int) -> int | None:
        """An input that is the same in all files; None for a constant that is not."""
        tensor = column[0].inputs[position]
        if tensor < 0:
            return tensor
        found = self._tensors(column, position)
        if found[0].data is not None:
            alike = {(t.data is not None, t.shape, t.dtype, t.grid, t.digest) for t in found}
            return tensor if len(alike) == 1 else None
        if any(names.get(tensor) != op.inputs[position] for names, op in zip(self.same, column, strict=True)):
            raise _refusal(column[0], "at another size it reads something else")
        return tensor

    def _sized(self, column: Sequence[Operator], position: int, options: Any) -> tuple[int, Any]:
        """A constant that depends on the sizes, said so that it holds at all of them; and the operator's options."""
        first, found = column[0], self._tensors(column, position)
        vectors = [np.frombuffer(t.data, np.int32) for t in found if t.data is not None and t.dtype == "int32" and len(t.shape) == 1]
        if len(vectors) != len(found) or len({len(v) for v in vectors}) > 1:
            raise _refusal(first, "a constant it reads depends on the size")
        changing = [i for i, numbers in enumerate(zip(*vectors, strict=True)) if len(set(numbers)) > 1]
        if first.code == OP.RESHAPE and len(changing) == 1:
            open_shape = [-1 if i == changing[0] else int(n) for i, n in enumerate(vectors[0])]
            return self._ints(open_shape), schema.ReshapeOptionsT(newShape=open_shape)
        if first.code == OP.SLICE and position == 2 and all(self._to_end(column, i, vectors) for i in changing):
            return self._ints([-1 if i in changing else int(n) for i, n in enumerate(vectors[0])]), options
        if first.code == OP.STRIDED_SLICE and position == 2 and all(self._to_end(column, i, vectors) for i in changing):
            return self._ints(vectors[0]), schema.StridedSliceOptionsT(endMask=sum(1 << i for i in changing))
        return self._computed(column, vectors), schema.ReshapeOptionsT() if first.code == OP.RESHAPE else options

    def _to_end(self, column: Sequence[Operator], axis: int, vectors: Sequence[np.ndarray]) -> bool:
        """Whether a slice reaches the end of its operand along an axis in all files."""
        whole = self._tensors(column, 0)
        begins = [np.frombuffer(t.data, np.int32) for t in self._tensors(column, 1) if t.data is not None]
        if column[0].code == OP.SLICE:
            return all(b[axis] + v[axis] == t.shape[axis] for b, v, t in zip(begins, vectors, whole, strict=True))
        steps = [np.frombuffer(t.data, np.int32) for t in self._tensors(column, 3) if t.data is not None]
        return all(t.shape[axis] - v[axis] < s[axis] for v, t, s in zip(vectors, whole, steps, strict=True))

    def _computed(self, column: Sequence[Operator], vectors: Sequence[np.ndarray]) -> int:
        """A vector of sizes as (shape[i] * a + b) / d, of the shape of an operand or an input of the model."""
        activations = [i for i in column[0].inputs if i in self.same[0]]
        for source in dict.fromkeys([*activations, *self.files[0].inputs.values()]):
            laws = [_law(numbers, self._shapes(source)) for numbers in zip(*(v.tolist() for v in vectors), strict=True)]
            if all(law is not None for law in laws):
                return self._written(source, [law for law in laws if law is not None], column[0].module)
        raise _refusal(column[0], "a size it needs follows from no single tensor's shape")

    def _written(self, source: int, laws: Sequence[tuple[int, Fraction, Fraction]], module: str) -> int:
        rank = len(self.builder.tensors[source].shape)
        divisor = lcm(*(f.denominator for _, slope, offset in laws for f in (slope, offset)))
        value = self._op(OP.SHAPE, [source], rank, schema.ShapeOptionsT(outType=schema.TensorType.INT32), module)
        if [axis for axis, _, _ in laws] != list(range(rank)):
            places = self._ints([axis for axis, _, _ in laws])
            value = self._op(OP.GATHER, [value, places], len(laws), schema.GatherOptionsT(axis=0, batchDims=0), module)
        slopes, offsets = [int(slope * divisor) for _, slope, _ in laws], [int(offset * divisor) for _, _, offset in laws]
        if set(slopes) != {1}:
            value = self._op(OP.MUL, [value, self._ints(slopes)], len(laws), schema.MulOptionsT(), module)
        if any(offsets):
            options = schema.AddOptionsT(potScaleInt16=False)
            value = self._op(OP.ADD, [value, self._ints(offsets)], len(laws), options, module)
        if divisor != 1:
            value = self._op(OP.FLOOR_DIV, [value, self._ints([divisor] * len(laws))], len(laws), schema.FloorDivOptionsT(), module)
        return value

    def _op(self, code: int, inputs: Sequence[int], length: int, options: Any, module: str) -> int:
        result = self.builder.tensor((length,), "int32")
        self.builder.operator(code, inputs, [result], options, module)
        return result

    def _ints(self, numbers: Sequence[int] | np.ndarray) -> int:
        return self.builder.constant(np.asarray(numbers, np.int32))


def _law(numbers: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> tuple[int, Fraction, Fraction] | None:
    """The axis, the slope and the offset that give these numbers in files with these shapes of a tensor; None if none do."""
    if len(set(numbers)) == 1:
        return 0, Fraction(0), Fraction(numbers[0])
    for axis, sizes in enumerate(zip(*shapes, strict=True)):
        known = dict(zip(sizes, numbers, strict=True))
        if len(known) < 2:
            continue
        (a, x), (b, y) = list(known.items())[:2]
        slope = Fraction(y - x, b - a)
        offset = x - slope * a
        if all(slope * size + offset == number for size, number in zip(sizes, numbers, strict=True)):
            return axis, slope, offset
    return None


def _same_options(first: Operator, other: Operator) -> bool:
    if first.code == OP.RESHAPE:
        return True  # what it says is said by its second input too
    mine, theirs = (vars(op.options) if op.options is not None else {} for op in (first, other))
    return {k: str(v) for k, v in mine.items()} == {k: str(v) for k, v in theirs.items()}


def _refusal(op: Operator, why: str) -> ConversionError:
    return ConversionError(
        f"{op.name} cannot be resized: {why}",
        op=op.name,
        module=op.module or None,
        accepted="operators whose sizes follow from their operands'",
        next_step=LARGER_STEP,
    )
