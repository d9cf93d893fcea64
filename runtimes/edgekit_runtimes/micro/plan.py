"""From an int8 ``.tflite`` file to a plan the firmware runs: what kernels.h needs of each operator, and where in the arena its tensors lie.

Runs in a worker: the file may be anything. The layout is that of ``Op`` and ``Header`` in the C sources, 32-bit little-endian words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import numpy as np

from edgekit.errors import ConversionError, LoadError
from edgekit_runtimes.micro.arena import Tenant, placed
from edgekit_runtimes.micro.modelfile import Ends, Operator, Tensor, read
from edgekit_runtimes.micro.records import FIELDS, KINDS, MOVES, Record, enlarged, joined
from edgekit_runtimes.micro.tables import TABLES, table

MAGIC = 0x31504B45
_FUSED = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}
_ALIGNMENT = 16


class Writer:
    """Collects constants, which lie behind the operators' records."""

    def __init__(self) -> None:
        self.content = bytearray()

    def add(self, values: np.ndarray) -> int:
        """Append an array; its offset from the first constant."""
        self.content += bytes(-len(self.content) % _ALIGNMENT)
        at = len(self.content)
        self.content += np.ascontiguousarray(values).tobytes()
        return at


def compile_plan(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The plan of the file ``arguments["model"]``.

    Returns:
        ``arena_bytes`` and ``ops`` (names); the plan's bytes as the array ``plan``.

    Raises:
        LoadError: It is no TFLite file.
        ConversionError: The firmware has no kernel for one of its operators.
    """
    path = Path(arguments["model"])
    try:
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
        tensors, operators, ends = read(model)
    except (ConversionError, OSError):
        raise
    except Exception as error:  # a damaged file may lead the generated code anywhere
        raise LoadError(f"{path.name} is not a readable TFLite file: {error}", accepted="a whole .tflite file") from None
    writer = Writer()
    records = [record for operator in operators for record in _records(operator, writer)]
    start = -(-4 * (8 + len(FIELDS) * len(records)) // _ALIGNMENT) * _ALIGNMENT
    offsets, arena = _arena(tensors, operators, ends)
    for record in records:
        record.place(offsets, start)
    words = np.array([[record.fields[field] for field in FIELDS] for record in records], "<i4")
    total = start + len(writer.content)
    given, result = ((offsets[side[0]], sum(tensors[i].elements for i in side)) for side in (ends.inputs, ends.outputs))
    header = [MAGIC, total, arena, *given, *result, len(records)]
    front = np.array(header, "<u4").tobytes() + words.tobytes()
    content = front + bytes(start - len(front)) + bytes(writer.content)
    told = {"arena_bytes": arena, "ops": [op.name for op in operators], "records": [record.operator.index for record in records]}
    return told, {"plan": np.frombuffer(content, np.uint8)}


def _records(operator: Operator, writer: Writer) -> list[Record]:
    """What the firmware does for one operator."""
    if operator.name in _SEVERAL:
        return _SEVERAL[operator.name](operator)
    if operator.name in MOVES:
        return [MOVES[operator.name](operator)]
    if operator.name in TABLES:
        return [_tabulated(operator, writer)]
    if operator.name == "MUL":
        return [_multiplied(operator, writer)]
    if operator.name not in _KERNELS:
        raise operator.refused(f"it has kernels for {', '.join(sorted([*_KERNELS, *MOVES, *_SEVERAL, *TABLES, 'MUL']))}")
    record = Record(operator, operator.given(0), operator.given(1) if operator.name == "ADD" else None)
    _KERNELS[operator.name](operator, record.fields, writer)
    if record.fields["kind"] < KINDS.index("ADD"):
        record.stored = ("weights", "bias", "multipliers", "shifts")
    if record.fields["low"] == record.fields["high"]:
        record.fields["low"], record.fields["high"] = _range(operator)
    return [record]


def _arena(tensors: list[Tensor], operators: list[Operator], ends: Ends) -> tuple[dict[int, int], int]:
    """Where each activation lies, and how much room all need. All inputs lie in a row, and so do all outputs: each are one message."""
    first, last = dict.fromkeys(ends.inputs, 0), dict[int, int]()
    for step, operator in enumerate(operators):
        first.setdefault(operator.output.index, step)
        for tensor in (*operator.inputs, operator.output):
            if tensor is not None and not tensor.data:
                last[tensor.index] = step
    last |= dict.fromkeys(ends.outputs, len(operators))
    tenants = [Tenant(i, tensors[i].elements, first[i], last.get(i, first[i])) for i in first if i not in (*ends.inputs, *ends.outputs)]
    for side in (ends.inputs, ends.outputs):
        size, begins, ends_at = sum(tensors[i].elements for i in side), [first.get(i, 0) for i in side], [last.get(i, 0) for i in side]
        tenants.append(Tenant(side[0], size, min(begins), max(*begins, *ends_at)))
    offsets, arena = placed(tenants)
    for side in (ends.inputs, ends.outputs):
        for before, after in pairwise(side):
            offsets[after] = offsets[before] + tensors[before].elements
    return offsets, arena


def _convolution(op: Operator, record: dict[str, int], writer: Writer) -> None:
    given, weights, options = op.given(0), op.given(1), op.options
    channels_first = op.name == "CONV_2D"
    if weights.type != schema.TensorType.INT8 or not weights.data:
        raise op.refused("its weights must be int8 constants")
    record["kind"] = KINDS.index(op.name)
    _image(op, record)
    if channels_first and weights.shape[3] != record["in_c"]:
        raise op.refused("it has no grouped convolution")
    sizes = {"kernel_h": weights.shape[1], "kernel_w": weights.shape[2], "stride_h": options.strideH, "stride_w": options.strideW}
    record.update(sizes, dilation_h=options.dilationHFactor, dilation_w=options.dilationWFactor)
    _padding(record, options.padding)
    _requantized(op, record, writer, given, weights)


def _fully_connected(op: Operator, record: dict[str, int], writer: Writer) -> None:
    given, weights = op.given(0), op.given(1)
    if weights.type != schema.TensorType.INT8 or not weights.data:
        raise op.refused("its weights must be int8 constants")
    out_c, in_c = weights.shape
    record.update(
        kind=KINDS.index(op.name), in_h=given.elements // in_c, in_c=in_c, out_c=out_c, in_zero=given.zero, out_zero=op.output.zero
    )
    _requantized(op, record, writer, given, weights)


def _requantized(op: Operator, record: dict[str, int], writer: Writer, given: Tensor, weights: Tensor) -> None:
    """Weights, bias, and input scale times weight scale over output scale as a multiplier and a shift for each channel."""
    out_c = record["out_c"]
    bias = op.inputs[2] if len(op.inputs) > 2 else None
    scales = weights.scale if len(weights.scale) == out_c else weights.scale * out_c
    pairs = [multiplier(given.scale[0] * scale / op.output.scale[0]) for scale in scales]
    record["weights"] = writer.add(np.frombuffer(weights.data, np.int8))
    record["bias"] = writer.add(np.zeros(out_c, "<i4") if bias is None else np.frombuffer(bias.data, "<i4"))
    record["multipliers"] = writer.add(np.array([m for m, _ in pairs], "<i4"))
    record["shifts"] = writer.add(np.array([s for _, s in pairs], "<i4"))


def _add(op: Operator, record: dict[str, int], writer: Writer) -> None:
    left, right, result = op.given(0), op.given(1), op.output
    if left.shape != right.shape or left.data or right.data:
        raise op.refused("it adds two activations of the same shape")
    twice = 2 * max(left.scale[0], right.scale[0])
    (a, b), (c, d) = (multiplier(t.scale[0] / twice) for t in (left, right))
    e, f = multiplier(twice / ((1 << 20) * result.scale[0]))
    record.update(kind=KINDS.index("ADD"), in_c=result.elements, a=a, b=b, c=c, d=d, e=e, f=f)
    record.update(in_zero=left.zero, other_zero=right.zero, out_zero=result.zero)


def _multiplied(op: Operator, writer: Writer) -> Record:
    """MUL of an activation by one of its shape, or by a number for each channel, each position, or all."""
    left, right = op.given(0), op.given(1)
    if left.data or left.elements < right.elements:
        left, right = right, left
    channels = op.output.shape[-1] if op.output.shape else 1
    places = op.output.elements // channels
    steps = {op.output.shape: (channels, 1), (1,): (0, 0), (channels,): (0, 1), (*op.output.shape[:-1], 1): (1, 0)}
    tail = right.shape if right.shape == op.output.shape or right.shape == (*op.output.shape[:-1], 1) else _without_ones(right.shape)
    if left.data or left.shape != op.output.shape or tail not in steps:
        raise op.refused("it multiplies by a tensor of the same shape, or by one number for all, each channel or each position")
    record = Record(op, left, None if right.data else right)
    a, b = multiplier(left.scale[0] * right.scale[0] / op.output.scale[0])
    record.fields.update(kind=KINDS.index("MUL"), in_h=places, in_c=channels, a=a, b=b)
    record.fields.update(in_zero=left.zero, other_zero=right.zero, out_zero=op.output.zero)
    record.fields["kernel_h"], record.fields["kernel_w"] = steps[tail]
    record.fields["low"], record.fields["high"] = _range(op)
    if right.data:
        record.fields["weights"], record.fields["d"], record.stored = writer.add(np.frombuffer(right.data, np.int8)), 1, ("weights",)
    return record


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without leading ones; ``(1,)`` for a single number."""
    first = next((i for i, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:] or (1,)


def _tabulated(op: Operator, writer: Writer) -> Record:
    """An operator that maps each element by itself: what LiteRT's reference kernel makes of all 256 values."""
    record = Record(op, op.given(0), stored=("weights",))
    record.fields.update(kind=KINDS.index("TABLE"), in_c=op.output.elements, weights=writer.add(table(op)))
    return record


def _resized(op: Operator, record: dict[str, int], writer: Writer) -> None:
    record["kind"] = KINDS.index("RESIZE_BILINEAR")
    _image(op, record)
    for field, axis in (("a", "h"), ("b", "w")):
        given, result = record[f"in_{axis}"], record[f"out_{axis}"]
        if op.options.alignCorners and result > 1:
            given, result = given - 1, result - 1
        record[field] = ((given << 10) + result // 2) // result
    record["c"], record["low"], record["high"] = int(op.options.halfPixelCenters), -128, 127


def _pool(op: Operator, record: dict[str, int], writer: Writer) -> None:
    options = op.options
    record["kind"] = KINDS.index(op.name)
    _image(op, record)
    sizes = {"kernel_h": options.filterHeight, "kernel_w": options.filterWidth, "stride_h": options.strideH, "stride_w": options.strideW}
    record.update(sizes, dilation_h=1, dilation_w=1)
    _padding(record, options.padding)


def _mean(op: Operator, record: dict[str, int], writer: Writer) -> None:
    given = op.given(0)
    axes = sorted(int(a) % len(given.shape) for a in np.frombuffer(op.given(1).data, "<i4"))
    if axes != [1, 2] or len(given.shape) != 4:
        raise op.refused("it averages over height and width only")
    record["kind"] = KINDS.index("MEAN")
    _image(op, record)
    record["a"], record["b"] = _divided(*multiplier(given.scale[0] / op.output.scale[0]), record["in_h"] * record["in_w"])
    record["low"], record["high"] = -128, 127


def _divided(fixed: int, shift: int, count: int) -> tuple[int, int]:
    """A multiplier that divides by a count too, as LiteRT's reference MEAN makes it (``QuantizedMeanOrSum``)."""
    more = min(count.bit_length() - 1, 32, 31 + shift)
    return (fixed << more) // count, shift - more


def _softmax(op: Operator, record: dict[str, int], writer: Writer) -> None:
    given = op.given(0)
    if not math.isclose(op.output.scale[0], 1 / 256) or op.output.zero != -128:
        raise op.refused("its result has the scale 1/256 and the zero point -128")
    rows, columns = given.elements // given.shape[-1], given.shape[-1]
    a, b = multiplier(min(op.options.beta * given.scale[0] * (1 << 26), float((1 << 31) - 1)))
    radius = math.floor(((1 << 5) - 1) * (1 << 26) / (1 << b))
    record.update(kind=KINDS.index("SOFTMAX"), in_h=rows, in_c=columns, a=a, b=b, c=-radius, low=-128, high=127)


_KERNELS: dict[str, Callable[[Operator, dict[str, int], Writer], None]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _add,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "RESIZE_BILINEAR": _resized,
    "SOFTMAX": _softmax,
}
_SEVERAL: dict[str, Callable[[Operator], list[Record]]] = {"CONCATENATION": joined, "RESIZE_NEAREST_NEIGHBOR": enlarged}


def _image(op: Operator, record: dict[str, int]) -> None:
    given, result = op.given(0), op.output
    record["in_h"], record["in_w"], record["in_c"] = given.image()
    record["out_h"], record["out_w"], record["out_c"] = result.image()
    record["in_zero"], record["out_zero"] = given.zero, result.zero


def _padding(record: dict[str, int], kind: int) -> None:
    """What SAME adds in front; VALID adds nothing."""
    if kind == schema.Padding.VALID:
        return
    for axis in "hw":
        reach = (record[f"kernel_{axis}"] - 1) * record[f"dilation_{axis}"] + 1
        missing = (record[f"out_{axis}"] - 1) * record[f"stride_{axis}"] + reach - record[f"in_{axis}"]
        record[f"pad_{axis}"] = max(0, missing) // 2


def _range(op: Operator) -> tuple[int, int]:
    """The integers a fused activation leaves."""
    code = getattr(op.options, "fusedActivationFunction", 0)
    if code not in _FUSED:
        raise op.refused(f"it has no activation {code}")
    scale, zero = op.output.scale[0], op.output.zero
    low, high = {"NONE": (-math.inf, math.inf), "RELU": (0, math.inf), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}[_FUSED[code]]

    def integer(real: float, limit: int) -> int:
        return limit if math.isinf(real) else min(127, max(-128, zero + round(real / scale)))

    return integer(low, -128), integer(high, 127)


def multiplier(real: float) -> tuple[int, int]:
    """A positive factor as a 31-bit integer and a power of two (LiteRT's ``QuantizeMultiplier``)."""
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    fixed = math.floor(fraction * (1 << 31) + 0.5)
    if fixed == 1 << 31:
        fixed, shift = fixed // 2, shift + 1
    return (0, 0) if shift < -31 else (fixed, shift)
