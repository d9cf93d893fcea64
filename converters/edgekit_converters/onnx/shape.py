"""Operators that move elements without changing them."""

from __future__ import annotations

import operator

import numpy as np
import onnx_ir as ir
import torch
from torch import fx

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.graph import argument, aten, shape_of
from edgekit_converters.onnx.emission import Emission, static
from edgekit_converters.onnx.registry import emits

_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
_BEYOND = np.iinfo(np.int64).min


@emits(operator.getitem)
def getitem(emission: Emission, node: fx.Node) -> ir.Value:
    """One of several results; nothing is written."""
    source, index = node.args
    return emission.results[source][index]  # type: ignore[index]


@emits(aten.reshape.default)
def reshape(emission: Emission, node: fx.Node) -> ir.Value:
    """Reshape."""
    return emission.reshaped(node.args[0], shape_of(node))


@emits(aten.permute.default)
def permute(emission: Emission, node: fx.Node) -> ir.Value:
    """Transpose."""
    rank = len(shape_of(node))
    return emission.transposed(node.args[0], [d % rank for d in argument(node, "dims")])


@emits(aten.expand.default)
def expand(emission: Emission, node: fx.Node) -> ir.Value:
    """Expand, to sizes that may be those of another value."""
    sizes = list(argument(node, "size"))
    if not any(isinstance(size, fx.Node) for size in sizes):
        return emission.op("Expand", [node.args[0], emission.ints(shape_of(node))], shape_of(node))
    parts = [size if isinstance(size, fx.Node) else emission.ints([max(size, 1)]) for size in sizes]
    shape = emission.op("Concat", parts, (len(sizes),), {"axis": 0}, dtype=ir.DataType.INT64)
    sample = emission.value(node.args[0])
    return emission.op("Expand", [sample, shape], static(sample))


@emits(aten.sym_size.int)
def sym_size(emission: Emission, node: fx.Node) -> ir.Value:
    """Shape, of one dimension."""
    dim = int(argument(node, "dim"))
    return emission.op("Shape", [argument(node, "self")], (1,), {"start": dim, "end": dim + 1}, dtype=ir.DataType.INT64)


@emits(aten.cat.default)
def cat(emission: Emission, node: fx.Node) -> ir.Value:
    """Concat, without the empty tensors PyTorch lets pass."""
    rank = len(shape_of(node))
    parts = [x for n in node.args[0] if static(x := emission.value(n)) != (0,) or rank == 1]  # type: ignore[union-attr]
    return emission.op("Concat", parts, shape_of(node), {"axis": int(argument(node, "dim")) % rank})


@emits(aten.slice.Tensor)
def slice_(emission: Emission, node: fx.Node) -> ir.Value:
    """Slice."""
    x, dim, start, end = emission.value(node.args[0]), *(argument(node, name) for name in ("dim", "start", "end"))
    size = static(x)[dim]
    bounds = [0 if start is None else start, size if end is None else min(end, size)]
    ends = [emission.ints([b]) for b in bounds]
    return emission.op("Slice", [x, *ends, emission.ints([dim % len(static(x))]), emission.ints([argument(node, "step")])], shape_of(node))


@emits(aten.flip.default)
def flip(emission: Emission, node: fx.Node) -> ir.Value:
    """Slice with steps of -1."""
    rank, dims = len(shape_of(node)), list(argument(node, "dims"))
    if not dims:
        return emission.value(node.args[0])
    vectors = ([-1] * len(dims), [_BEYOND] * len(dims), [d % rank for d in dims], [-1] * len(dims))
    return emission.op("Slice", [node.args[0], *map(emission.ints, vectors)], shape_of(node))


@emits(aten.repeat.default)
def repeat(emission: Emission, node: fx.Node) -> ir.Value:
    """Tile."""
    times = list(argument(node, "repeats"))
    x = emission.value(node.args[0])
    x = emission.reshaped(x, (*[1] * (len(times) - len(static(x))), *static(x)))
    return emission.op("Tile", [x, emission.ints(times)], shape_of(node))


@emits(aten.pad.default)
def pad(emission: Emission, node: fx.Node) -> ir.Value:
    """Pad, which crops where amounts are negative."""
    x, amounts = emission.value(node.args[0]), list(argument(node, "pad"))
    rank, padded = len(static(x)), len(amounts) // 2
    before = [0] * (rank - padded) + amounts[0::2][::-1]
    after = [0] * (rank - padded) + amounts[1::2][::-1]
    mode = _MODES[argument(node, "mode")]
    inputs = [x, emission.ints(before + after)]
    if mode == "constant" and (value := argument(node, "value")):
        inputs.append(emission.value(value, x))
    return emission.op("Pad", inputs, shape_of(node), {"mode": mode})


@emits(aten.pixel_shuffle.default)
def pixel_shuffle(emission: Emission, node: fx.Node) -> ir.Value:
    """DepthToSpace, channels outermost."""
    return _batched(emission, node, "DepthToSpace", {"blocksize": int(argument(node, "upscale_factor")), "mode": "CRD"})


@emits(torch.ops.edgekit.depth_to_space.default)
def depth_to_space(emission: Emission, node: fx.Node) -> ir.Value:
    """DepthToSpace, pixels outermost."""
    return _batched(emission, node, "DepthToSpace", {"blocksize": int(argument(node, "block")), "mode": "DCR"})


@emits(aten.pixel_unshuffle.default)
def pixel_unshuffle(emission: Emission, node: fx.Node) -> ir.Value:
    """Reshape, Transpose, Reshape: SpaceToDepth orders channels otherwise."""
    x, block = emission.value(node.args[0]), int(argument(node, "downscale_factor"))
    *lead, channels, height, width = static(x)
    split = emission.reshaped(x, (*lead, channels, height // block, block, width // block, block))
    first = len(lead)
    order = (*range(first), *(first + d for d in (0, 2, 4, 1, 3)))
    return emission.reshaped(emission.transposed(split, order), shape_of(node))


def _batched(emission: Emission, node: fx.Node, op_type: str, attributes: dict[str, object]) -> ir.Value:
    """An operator on images, with the leading dimensions as one."""
    x, shape = emission.value(node.args[0]), shape_of(node)
    folded = emission.reshaped(x, (-1, *static(x)[-3:])) if len(shape) != 4 else x
    lead = int(np.prod(shape[:-3])) if len(shape) != 4 else shape[0]
    return emission.reshaped(emission.op(op_type, [folded], (lead, *shape[-3:]), attributes), shape)
