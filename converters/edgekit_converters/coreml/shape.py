"""Views, and the operators that move data without computing."""

from __future__ import annotations

import numpy as np
from torch import fx

from edgekit.graph import argument, aten, is_call, shape_of
from edgekit_converters.coreml.emission import Emission, Result
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Value, Variable


@emits(aten.permute.default)
def permute(emission: Emission, node: fx.Node) -> Value:
    """``transpose``."""
    rank = len(shape_of(node))
    return emission.op("transpose", x=node.args[0], perm=[d % rank for d in argument(node, "dims")])


@emits(aten.reshape.default)
def reshape(emission: Emission, node: fx.Node) -> Value:
    """``reshape``."""
    return emission.op("reshape", x=node.args[0], shape=list(shape_of(node)))


@emits(aten.slice.Tensor)
def slice_(emission: Emission, node: fx.Node) -> Value:
    """``slice_by_index``, together with the slices of other dimensions before it."""
    source, cuts = node, dict[int, tuple[int, int, int]]()
    while is_call(source, aten.slice.Tensor) and (source is node or len(source.users) == 1):
        dim = argument(source, "dim") % len(shape_of(source))
        if dim in cuts:
            break
        cuts[dim] = (argument(source, "start") or 0, shape_of(source)[dim], argument(source, "step"))
        source = argument(source, "self")
    return sliced(emission, emission.written(source), cuts)


def sliced(emission: Emission, x: Variable, cuts: dict[int, tuple[int, int, int]]) -> Variable:
    """Part of `x`: by dimension the first element, how many, and the step between them."""
    shape, begin, end, stride = list(x.shape), [0] * len(x.shape), list(x.shape), [1] * len(x.shape)
    for dim, (start, count, step) in cuts.items():
        first = start % x.shape[dim] if start < 0 else start
        shape[dim], begin[dim], end[dim], stride[dim] = count, first, first + (count - 1) * step + 1, step
    return emission.op("slice_by_index", Result(shape, x.dtype), x=x, begin=begin, end=end, stride=stride)


@emits(aten.cat.default)
def cat(emission: Emission, node: fx.Node) -> Value:
    """``concat``, without what is empty."""
    shape, dtype = shape_of(node), emission.dtype(node)
    parts = [emission.cast(n, dtype) for n in node.args[0] if 0 not in shape_of(n)]  # type: ignore[union-attr, arg-type]
    return emission.op("concat", values=parts, axis=(argument(node, "dim") or 0) % len(shape))


@emits(aten.expand.default)
def expand(emission: Emission, node: fx.Node) -> Value:
    """``tile``, after a ``reshape`` where dimensions are added in front."""
    x, shape = emission.written(node.args[0]), shape_of(node)
    return _tiled(emission, x, [want // have for want, have in zip(shape, _ranked(x, len(shape)), strict=True)])


@emits(aten.repeat.default)
def repeat(emission: Emission, node: fx.Node) -> Value:
    """``tile``."""
    return _tiled(emission, emission.written(node.args[0]), list(argument(node, "repeats")))


def _ranked(x: Variable, rank: int) -> tuple[int, ...]:
    return (*[1] * (rank - len(x.shape)), *x.shape)


def _tiled(emission: Emission, x: Variable, times: list[int]) -> Variable:
    shape = _ranked(x, len(times))
    if shape != x.shape:
        x = emission.op("reshape", Result(shape, x.dtype), x=x, shape=list(shape))
    return x if set(times) == {1} else emission.op("tile", x=x, reps=times)


@emits(aten.flip.default)
def flip(emission: Emission, node: fx.Node) -> Value:
    """``reverse``."""
    rank = len(shape_of(node))
    return emission.op("reverse", x=node.args[0], axes=[d % rank for d in argument(node, "dims")])


@emits(aten.pad.default)
def pad(emission: Emission, node: fx.Node) -> Value:
    """``pad``, of the modes constant, reflect and replicate; circular edges are a ``concat``. Negative amounts crop."""
    x, amounts, mode = emission.written(node.args[0]), argument(node, "pad"), str(argument(node, "mode"))
    rank = len(x.shape)
    pairs = {rank - 1 - i: (amounts[2 * i], amounts[2 * i + 1]) for i in range(len(amounts) // 2)}
    cuts = {d: (max(-b, 0), x.shape[d] + min(b, 0) + min(a, 0), 1) for d, (b, a) in pairs.items() if min(b, a) < 0}
    if cuts:
        x = sliced(emission, x, cuts)
    grown = [(max(pairs.get(d, (0, 0))[0], 0), max(pairs.get(d, (0, 0))[1], 0)) for d in range(rank)]
    if not any(b or a for b, a in grown):
        return x
    if mode == "circular":
        return _wrapped(emission, x, grown)
    shape = [s + b + a for s, (b, a) in zip(x.shape, grown, strict=True)]
    flat = [n for pair in grown for n in pair]
    if mode != "constant":
        return emission.op("pad", Result(shape), x=x, pad=flat, mode=mode)
    filling = emission.number(float(argument(node, "value") or 0))
    if x.dtype == emission.compute:
        return emission.op("pad", Result(shape), x=x, pad=flat, mode=mode, constant_val=filling)
    padded = emission.op("pad", Result(shape, emission.compute), x=emission.floats(x), pad=flat, mode=mode, constant_val=filling)
    return emission.cast(padded, x.dtype)


def _wrapped(emission: Emission, x: Variable, grown: list[tuple[int, int]]) -> Variable:
    for dim, (before, after) in enumerate(grown):
        size = x.shape[dim]
        ends = [sliced(emission, x, {dim: (size - before, before, 1)})] if before else []
        starts = [sliced(emission, x, {dim: (0, after, 1)})] if after else []
        if ends or starts:
            shape = (*x.shape[:dim], size + before + after, *x.shape[dim + 1 :])
            x = emission.op("concat", Result(shape, x.dtype), values=[*ends, x, *starts], axis=dim)
    return x


@emits(aten.pixel_shuffle.default)
def pixel_shuffle(emission: Emission, node: fx.Node) -> Value:
    """``pixel_shuffle``."""
    return emission.op("pixel_shuffle", x=node.args[0], upscale_factor=argument(node, "upscale_factor"))


@emits(aten.pixel_unshuffle.default)
def pixel_unshuffle(emission: Emission, node: fx.Node) -> Value:
    """``pixel_unshuffle``."""
    return emission.op("pixel_unshuffle", x=node.args[0], downscale_factor=np.uint32(argument(node, "downscale_factor")))
