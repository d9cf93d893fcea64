"""Views, and the operators that move data without computing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import ai_edge_litert.schema_py_generated as schema
import numpy as np
import torch
from torch import fx

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.graph import argument, aten, grid_of, is_call, shape_of
from edgekit_converters._integers import limits, quantized
from edgekit_converters.litert.emission import OP, Emission, Form, Outcome
from edgekit_converters.litert.indexing import gathered
from edgekit_converters.litert.layout import Layout
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.storage import Stand, stand, without_last_ones
from edgekit_converters.litert.values import Value


@emits(aten.permute.default, view=True)
def permute(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """Nothing is written until a consumer needs the order."""
    value = emission.value(node.args[0])
    return value.permute([d % value.rank for d in argument(node, "dims")])


@emits(aten.reshape.default, view=True)
def reshape(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """Nothing is written where storage order allows a view; else the value is brought into logical order first."""
    value = emission.value(node.args[0])
    view = value.reshape(out.shape)
    if view is not None:
        return view
    if value.data is not None:
        value = emission.real(value)
    tensor = emission.stored(value, range(value.rank))
    straight = replace(value, layout=Layout.stored(value.shape), tensor=tensor, data=None).reshape(out.shape)
    assert straight is not None
    return straight


@emits(aten.slice.Tensor, integers=(INT8, INT16))
def slice_(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """SLICE, or STRIDED_SLICE for a step: one for a whole chain of slices."""
    value, cuts = _chain(emission, node)
    at = stand(emission, out, value, list(cuts), share=True)
    form, begin = at.form(out.shape), emission.ints(at.spread({d: start for d, (start, _) in cuts.items()}, 0))
    if all(step == 1 for _, step in cuts.values()):
        return emission.op(OP.SLICE, [at.tensor, begin, emission.ints(form.shape)], out, form, schema.SliceOptionsT())
    end = list(form.shape)
    for dim, (start, step) in cuts.items():
        end[at.place(dim)] = start + (out.shape[dim] - 1) * step + 1
    steps = emission.ints(at.spread({d: step for d, (_, step) in cuts.items()}, 1))
    return emission.op(OP.STRIDED_SLICE, [at.tensor, begin, emission.ints(end), steps], out, form, schema.StridedSliceOptionsT())


def _chain(emission: Emission, node: fx.Node) -> tuple[Value, dict[int, tuple[int, int]]]:
    """The value before all slices that end in `node`, and by dimension the first element and the step of what they leave of it.

    The operators passed over are dropped from the file if nobody else needs them.
    """
    cuts: dict[int, tuple[int, int]] = {}
    source: fx.Node = node
    while is_call(source, aten.slice.Tensor):
        dim, start, step = argument(source, "dim") % len(shape_of(source)), argument(source, "start") or 0, argument(source, "step")
        first, stride = cuts.get(dim, (0, 1))
        cuts[dim] = (start + first * step, stride * step)
        source = source.args[0]  # type: ignore[assignment]
        rounded = source
        while grid_of(rounded) is not None and emission.value(rounded) is emission.value(rounded.args[0]):
            rounded = rounded.args[0]  # type: ignore[assignment]
        source = rounded if is_call(rounded, aten.slice.Tensor) else source
    return emission.value(source), cuts


@emits(aten.cat.default, integers=(INT8, INT16))
def cat(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """CONCATENATION, along the axis where the operands already lie if they lie alike."""
    values = [emission.value(n) for n in node.args[0]]  # type: ignore[union-attr]
    values = [v for v in values if v.rank == len(out.shape) and 0 not in v.shape]
    dim = (argument(node, "dim") or 0) % len(out.shape)
    stands = _alike(emission, out, values, dim)
    options = schema.ConcatenationOptionsT(axis=stands[0].place(dim))
    return emission.op(OP.CONCATENATION, [at.tensor for at in stands], out, stands[0].form(out.shape), options)


def _alike(emission: Emission, out: Outcome, values: Sequence[Value], dim: int) -> list[Stand]:
    """Operands whose dimensions all stand at the same places."""
    if all(v.data is None for v in values):
        stands = [stand(emission, out, v, [dim], share=True) for v in values]
        if len({(at.places, len(at.shape)) for at in stands}) == 1:
            return stands
    order = emission.leading_order(values, len(out.shape))
    places = tuple(order.index(d) for d in range(len(order)))
    tensors = [emission.operand(out, v, order, share=True) for v in values]
    return [Stand(t, emission.builder.tensors[t].shape, places) for t in tensors]


@emits(aten.pad.default, integers=(INT8, INT16))
def pad(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """PAD with zeros, PADV2 with another number, MIRROR_PAD; replicated and circular edges are gathered. Negative amounts crop."""
    value, amounts, mode = emission.value(node.args[0]), argument(node, "pad"), str(argument(node, "mode"))
    pairs = {value.rank - 1 - i: (amounts[2 * i], amounts[2 * i + 1]) for i in range(len(amounts) // 2)}
    crops = {d: (min(b, 0), min(a, 0)) for d, (b, a) in pairs.items() if min(b, a) < 0}
    if crops:
        value = _cropped(emission, out, value, crops)
    grown = {d: (max(b, 0), max(a, 0)) for d, (b, a) in pairs.items() if max(b, a) > 0}
    if not grown:
        return value
    if mode in ("replicate", "circular"):
        return _gathered_edges(emission, out, value, grown, mode)
    at = without_last_ones(emission, stand(emission, out, value, list(grown), share=True), list(grown))
    rows = np.zeros((len(at.shape), 2), np.int32)
    for dim, amount in grown.items():
        rows[at.place(dim)] = amount
    paddings, form = emission.builder.constant(rows), at.form(out.shape)
    if mode == "reflect":
        options = schema.MirrorPadOptionsT(mode=schema.MirrorPadMode.REFLECT)
        return emission.op(OP.MIRROR_PAD, [at.tensor, paddings], out, form, options)
    number = float(argument(node, "value") or 0)
    if number == 0:
        return emission.op(OP.PAD, [at.tensor, paddings], out, form, schema.PadOptionsT())
    return emission.op(OP.PADV2, [at.tensor, paddings, _number(emission, out, number)], out, form, schema.PadV2OptionsT())


def _number(emission: Emission, out: Outcome, number: float) -> int:
    """A scalar constant of the result's dtype and grid."""
    if not out.integer or out.grid is None:
        return emission.builder.constant(np.asarray(number, out.dtype))
    low, high = limits(out.grid.dtype)
    return emission.builder.constant(quantized(np.asarray(number, np.float32), out.grid, low, high), out.grid)


def _cropped(emission: Emission, out: Outcome, value: Value, crops: Mapping[int, tuple[int, int]]) -> Value:
    at = stand(emission, out, value, list(crops), share=True)
    shape = [size + sum(crops.get(d, (0, 0))) for d, size in enumerate(value.shape)]
    form = at.form(shape)
    begin = emission.ints(at.spread({d: -before for d, (before, _) in crops.items()}, 0))
    return emission.op(OP.SLICE, [at.tensor, begin, emission.ints(form.shape)], out, form, schema.SliceOptionsT())


def _gathered_edges(emission: Emission, out: Outcome, value: Value, pairs: Mapping[int, tuple[int, int]], mode: str) -> Value:
    for dim, (before, after) in pairs.items():
        size = value.shape[dim]
        rows = np.arange(-before, size + after)
        rows = np.clip(rows, 0, size - 1) if mode == "replicate" else rows % size
        value = gathered(emission, out, value, dim, Value.constant(rows.astype(np.int32)))
    return value


@emits(aten.expand.default, integers=(INT8, INT16))
def expand(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """BROADCAST_TO."""
    value = emission.value(node.args[0]).expand_rank(len(out.shape))
    grown = [d for d, (have, want) in enumerate(zip(value.shape, out.shape, strict=True)) if have != want]
    at = stand(emission, out, value, grown, share=True)
    form = at.form(out.shape)
    return emission.op(OP.BROADCAST_TO, [at.tensor, emission.ints(form.shape)], out, form)


@emits(aten.repeat.default, integers=(INT8, INT16))
def repeat(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """TILE."""
    value = emission.value(node.args[0]).expand_rank(len(out.shape))
    times = {d: n for d, n in enumerate(argument(node, "repeats")) if n != 1}
    at = stand(emission, out, value, list(times), share=True)
    return emission.op(OP.TILE, [at.tensor, emission.ints(at.spread(times, 1))], out, at.form(out.shape), schema.TileOptionsT())


@emits(aten.flip.default, integers=(INT8, INT16))
def flip(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """REVERSE_V2, one axis at a time: the kernel takes several only where they are neighbours."""
    value = emission.value(node.args[0])
    for dim in argument(node, "dims"):
        at = stand(emission, out, value, [dim % value.rank], share=True)
        inputs = [at.tensor, emission.ints([at.place(dim % value.rank)])]
        value = emission.op(OP.REVERSE_V2, inputs, out, at.form(value.shape), schema.ReverseV2OptionsT())
    return value


@emits(torch.ops.edgekit.depth_to_space.default, integers=(INT8,))
def depth_to_space(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """DEPTH_TO_SPACE."""
    order = (0, 2, 3, 1)
    tensor = emission.operand(out, node.args[0], order, share=True)
    options = schema.DepthToSpaceOptionsT(blockSize=node.args[1])
    return emission.op(OP.DEPTH_TO_SPACE, [tensor], out, Form.of(out.shape, order), options)
