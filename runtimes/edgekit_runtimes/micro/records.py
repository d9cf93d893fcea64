"""The records of operators that only move values: reshape, transpose, slice, pad, concatenate. All are one copy with strides."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edgekit_runtimes.micro.modelfile import Operator, Tensor

KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "SOFTMAX", "COPY", "MUL",
         "TABLE", "RESIZE_BILINEAR")  # fmt: skip
FIELDS = (
    "kind", "input", "other", "output", "weights", "bias", "multipliers", "shifts",
    "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w",
    "pad_h", "pad_w", "in_zero", "other_zero", "out_zero", "low", "high", "a", "b", "c", "d", "e", "f",
)  # fmt: skip
"""Of ``Op``, in order."""


@dataclass
class Record:
    """One ``Op`` of the firmware.

    Attributes:
        operator: It is of.
        given: What it reads.
        other: Its second operand, or None.
        stored: Those of its fields that say where a constant is.
        fields: By name; see kernels.h.
    """

    operator: Operator
    given: Tensor
    other: Tensor | None = None
    stored: tuple[str, ...] = ()
    fields: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FIELDS, 0))

    def place(self, offsets: Mapping[int, int], constants: int) -> None:
        """Say where its tensors lie in the arena, and where constants begin in the plan."""
        self.fields["input"], self.fields["output"] = offsets[self.given.index], offsets[self.operator.output.index]
        self.fields["other"] = offsets[self.other.index] if self.other else 0
        for name in self.stored:
            self.fields[name] += constants


Strides = Sequence[int]


def moved(
    op: Operator, given: Tensor, sizes: Sequence[int], reading: Strides, writing: Strides, *, start: tuple[int, int] = (0, 0)
) -> Record:
    """A copy of four dimensions.

    Args:
        op: The operator.
        given: What it reads.
        sizes: Of the dimensions.
        reading: Steps in the input, in bytes.
        writing: Steps in the output.
        start: Where reading and writing begin.
    """
    record = Record(op, given)
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w", "pad_h", "pad_w", "a", "b", "c", "d", "e", "f")
    if max(len(sizes), len(reading), len(writing)) > 4:
        raise op.refused("it moves tensors of at most four dimensions")
    values = (*_four(sizes, 1), *_four(reading, 0), *_four(writing, 0), *start)
    record.fields.update(zip(names, values, strict=True), kind=KINDS.index("COPY"))
    return record


def _four(values: Sequence[int], filler: int) -> tuple[int, ...]:
    return (filler,) * (4 - len(values)) + tuple(int(v) for v in values)


def strides(shape: Sequence[int]) -> list[int]:
    """Of a dense int8 tensor."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def joined(op: Operator) -> list[Record]:
    """CONCATENATION: a copy for each operand."""
    axis = int(op.options.axis) % len(op.output.shape)
    records, at = [], 0
    for tensor in (op.given(i) for i in range(len(op.inputs))):
        if tensor.data or (tensor.scale, tensor.zero) != (op.output.scale, op.output.zero):
            raise op.refused("it joins activations that share one grid")
        steps = strides(op.output.shape)
        records.append(moved(op, tensor, tensor.shape, strides(tensor.shape), steps, start=(0, at * steps[axis])))
        at += tensor.shape[axis]
    return records


def _reshaped(op: Operator) -> Record:
    return moved(op, op.given(0), [op.output.elements], [1], [1])


def _transposed(op: Operator) -> Record:
    given, order = op.given(0), op.given(1).integers()
    reading = strides(given.shape)
    return moved(op, given, op.output.shape, [reading[axis] for axis in order], strides(op.output.shape))


def _sliced(op: Operator) -> Record:
    given, begin = op.given(0), op.given(1).integers()
    reading = strides(given.shape)
    start = sum(int(b) * s for b, s in zip(begin, reading, strict=True))
    return moved(op, given, op.output.shape, reading, strides(op.output.shape), start=(start, 0))


def _strided(op: Operator) -> Record:
    given, begin, steps = op.given(0), op.given(1).integers(), op.given(3).integers()
    options = op.options
    if options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask or (steps < 1).any() or len(steps) != len(given.shape):
        raise op.refused("it takes slices forwards that keep all dimensions")
    first = [0 if options.beginMask >> i & 1 else int(b) % given.shape[i] for i, b in enumerate(begin)]
    reading = strides(given.shape)
    start = sum(b * s for b, s in zip(first, reading, strict=True))
    return moved(
        op, given, op.output.shape, [s * int(k) for s, k in zip(reading, steps, strict=True)], strides(op.output.shape), start=(start, 0)
    )


def _padded(op: Operator) -> Record:
    given, margins = op.given(0), op.given(1).integers().reshape(-1, 2)
    writing = strides(op.output.shape)
    start = sum(int(m) * s for m, s in zip(margins[:, 0], writing, strict=True))
    record = moved(op, given, given.shape, strides(given.shape), writing, start=(0, start))
    record.fields.update(in_h=1, in_c=op.output.elements, in_zero=op.output.zero)
    return record


def enlarged(op: Operator) -> list[Record]:
    """RESIZE_NEAREST_NEIGHBOR by whole factors: a copy for each place a pixel is repeated at."""
    given, (_, rows, columns, channels) = op.given(0), op.output.shape
    _, height, width, _ = given.shape
    down, across = rows // height, columns // width
    if rows % height or columns % width or op.options.alignCorners or op.options.halfPixelCenters:
        raise op.refused("it repeats pixels a whole number of times, from their corners")
    reading, writing = strides((height, width, channels)), [down * columns * channels, across * channels, 1]
    starts = [(i * columns + j) * channels for i in range(down) for j in range(across)]
    return [moved(op, given, (height, width, channels), reading, writing, start=(0, start)) for start in starts]


MOVES: dict[str, Callable[[Operator], Record]] = {
    "RESHAPE": _reshaped,
    "SQUEEZE": _reshaped,
    "EXPAND_DIMS": _reshaped,
    "TRANSPOSE": _transposed,
    "SLICE": _sliced,
    "STRIDED_SLICE": _strided,
    "PAD": _padded,
}
