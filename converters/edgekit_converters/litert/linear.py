"""Linear layers and matrix products."""

from __future__ import annotations

import math
from dataclasses import replace

import ai_edge_litert.schema_py_generated as schema
import numpy as np
from torch import fx

from edgekit.graph import argument, aten, is_call
from edgekit_converters.litert.emission import NONE, OP, Emission, Form, Outcome
from edgekit_converters.litert.layout import Layout
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.values import Value
from edgekit_converters.litert.weights import bias_tensor, hybrid, weight_tensor


@emits(aten.linear.default, integers=(INT8, INT16), fuses=True)
def linear(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """FULLY_CONNECTED, over the innermost stored dimension; the others may lie in any order."""
    data, weight = emission.value(node.args[0]), emission.value(node.args[1])
    if weight.data is None:
        if len(node.args) > 2 and node.args[2] is not None:
            raise emission.refusal(node, "its weight is not a constant", next_step="write it as a matmul and an add")
        return _batched(emission, out, data, weight.permute((1, 0)))
    return _connected(emission, out, data, weight)


@emits(aten.matmul.default, integers=(INT8, INT16))
def matmul(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """BATCH_MATMUL, or FULLY_CONNECTED where the right operand is one constant matrix."""
    left, right = emission.value(node.args[0]), emission.value(node.args[1])
    if left.rank == 1 or right.rank == 1:
        return _with_vectors(emission, node, out, left, right)
    if right.data is not None and right.rank == 2 and left.data is None and _constant_matrix(out, right):
        return _connected(emission, out, left, right.permute((1, 0)))
    return _batched(emission, out, left, right)


def _constant_matrix(out: Outcome, right: Value) -> bool:
    """Whether FULLY_CONNECTED takes `right` as its weight: symmetric, and 8 bits wide beside integer activations."""
    if not out.integer:
        return True
    return right.grid is not None and right.grid.dtype in ("int8", "int4") and not any(right.grid.zero_point)


def _with_vectors(emission: Emission, node: fx.Node, out: Outcome, left: Value, right: Value) -> Value:
    """PyTorch drops the dimension it gave a vector operand."""
    rows = left.reshape((1, *left.shape)) if left.rank == 1 else left
    columns = right.reshape((*right.shape, 1)) if right.rank == 1 else right
    if rows is None or columns is None:
        raise emission.refusal(node, "a vector operand has scales for each element", accepted="per-tensor scales")
    shape = (*np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2]), rows.shape[-2], columns.shape[-1])
    value = _batched(emission, replace(out, shape=tuple(shape)), rows, columns).reshape(out.shape)
    assert value is not None
    return value


def _connected(emission: Emission, out: Outcome, data: Value, weight: Value) -> Value:
    if data.data is not None:
        data = _written(emission, data)
    data, weight = _columns_as_stored(data, weight) or (_innermost(emission, data), weight)
    tensor = emission.operand(out, data)
    shape = emission.builder.tensors[tensor].shape
    depth, width = weight.shape[1], weight.shape[0]
    keep = data.rank > 2 and len(shape) > 2 and shape[-1] == depth
    form = Form(_rows(data.layout, width), (*shape[:-1], width) if keep else (math.prod(shape) // depth, width))
    biased = is_call(out.node, aten.linear.default) and argument(out.node, "bias") is not None
    inputs = [tensor, weight_tensor(emission, out, data, weight, (0, 1)), bias_tensor(emission, out, data, weight) if biased else -1]
    blockwise = weight.block_scales is not None
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=NONE if blockwise else out.activation, keepNumDims=keep)
    value = emission.op(OP.FULLY_CONNECTED, inputs, out, form, options)
    return _after_blockwise(emission, value, out) if blockwise else value


def _after_blockwise(emission: Emission, value: Value, out: Outcome) -> Value:
    """The activation apart from the blockwise product, because LiteRT's own kernel forgets it."""
    emission.note("blockwise int4 weights are read rightly by XNNPACK and LiteRT's built-in kernels, not by its reference kernels")
    kinds = schema.ActivationFunctionType
    apart = {kinds.RELU: OP.RELU, kinds.RELU6: OP.RELU6, kinds.RELU_N1_TO_1: OP.RELU_N1_TO_1}
    return emission.unary(apart[out.activation], value, out) if out.activation in apart else value


def _written(emission: Emission, data: Value) -> Value:
    """A constant as a stored tensor."""
    return replace(data, tensor=emission.stored(data), data=None)


def _columns_as_stored(data: Value, weight: Value) -> tuple[Value, Value] | None:
    """The weight with its columns in the order in which the data's last dimension lies, if that dimension lies innermost.

    So flattening a channels-last plane before a linear layer moves nothing: the weight is permuted here, once.
    """
    inner = data.layout.dims[-1]
    count = len(data.layout.axes)
    if sorted(inner) != list(range(count - len(inner), count)) or _split(data):
        return None
    if list(inner) == sorted(inner):
        return data, weight
    if weight.block_scales is not None or weight.data is None:
        return None
    sizes = [data.layout.axes[a] for a in inner]
    places = sorted(range(len(inner)), key=lambda i: inner[i])
    columns = weight.data.reshape(weight.shape[0], *sizes).transpose(0, *(1 + p for p in places)).reshape(weight.shape)
    dims = (*data.layout.dims[:-1], tuple(sorted(inner)))
    return replace(data, layout=Layout(data.layout.axes, dims)), replace(weight, data=columns)


def _split(data: Value) -> bool:
    """Whether the innermost dimension shares a stored axis with others; never, by how layouts are made."""
    return any(set(dim) & set(data.layout.dims[-1]) for dim in data.layout.dims[:-1])


def _innermost(emission: Emission, data: Value) -> Value:
    order = emission.order_with_last(data, data.rank - 1)
    return replace(data, layout=Layout.stored(data.shape, order), tensor=emission.stored(data, order))


def _rows(layout: Layout, width: int) -> Layout:
    """The layout of the result: the last dimension is now one innermost axis of `width`."""
    kept = len(layout.axes) - len(layout.dims[-1])
    last = (kept,) if width != 1 else ()
    axes = (*layout.axes[:kept], *((width,) if width != 1 else ()))
    return Layout(axes, (*layout.dims[:-1], last))


def _batched(emission: Emission, out: Outcome, left: Value, right: Value) -> Value:
    rank = len(out.shape)
    left, right = left.expand_rank(rank), right.expand_rank(rank)
    first, flip_first = _matrix(emission, out, left)
    second, flip_second = _matrix(emission, out, right)
    options = schema.BatchMatMulOptionsT(adjX=flip_first, adjY=flip_second)
    if not out.integer and hybrid(left, right):
        second = emission.operand(replace(out, compute="float32"), right, _matrix_order(right.rank, flip_second))
    return emission.op(OP.BATCH_MATMUL, [first, second], out, Form.of(out.shape), options)


def _matrix(emission: Emission, out: Outcome, value: Value) -> tuple[int, bool]:
    """An operand with its batch dimensions first, and whether its matrices lie transposed."""
    rank = value.rank
    flipped = _matrix_order(rank, True)
    flip = value.data is None and value.layout.sequence(flipped) == tuple(range(len(value.layout.axes))) and min(value.shape[-2:]) > 1
    return emission.operand(out, value, _matrix_order(rank, flip)), flip


def _matrix_order(rank: int, flip: bool) -> tuple[int, ...]:
    return (*range(rank - 2), rank - 1, rank - 2) if flip else tuple(range(rank))
