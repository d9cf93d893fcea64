"""Spell every way of taking a part ``slice``, ``index_select`` or ``gather``, and every way of stacking ``cat``.

Given: ``a, b = x.chunk(2, 1)``; ``y = x[:, 3]``; ``y = torch.stack([a, b])``; ``y = x.roll(1, 2)``.
Result: ``slice(x, 1, 0, 4, 1)``, ``slice(x, 1, 4, 8, 1)``; a slice and a reshape; reshapes and a ``cat``; slices and a
    ``cat``. Bounds are static and non-negative; a slice of everything is nothing.
"""

from __future__ import annotations

import operator
from itertools import accumulate, pairwise
from math import prod

import torch
from torch import fx

from edgekit.canonicalize.rewriting import Rule, apply_rules, arguments, calls, non_negative, overloads, reshaped, source
from edgekit.graph import argument, aten, call, constant, constant_value, dtype_of, shape_of, substitute

_SPLITS = overloads("chunk split.Tensor split.sizes split_with_sizes tensor_split.sections tensor_split.indices unsafe_chunk")


def indexing(graph: fx.Graph) -> None:
    """Merge the spellings of taking parts."""
    for node in calls(graph, _SPLITS):
        _split(node)
    for node in calls(graph, {aten.unbind.int}):
        _unbind(node)
    apply_rules(graph, _RULES)


def part(before: fx.Node, x: fx.Node, dim: int, start: int, end: int, *, step: int = 1) -> fx.Node:
    """``x[start:end:step]`` along a dimension; `x` itself where that is all of it."""
    if start == 0 and step == 1 and end == shape_of(x)[dim]:
        return x
    return call(before, aten.slice.Tensor, x, dim, start, end, step)


def _split(node: fx.Node) -> None:
    x, dim = source(node), argument(node, "dim")
    dim = non_negative(dim, len(shape_of(x)))
    bounds = [0, *accumulate(piece.shape[dim] for piece in node.meta["val"])]
    pieces = list(pairwise(bounds))
    for user in list(node.users):
        assert user.target is operator.getitem
        index: int = user.args[1]  # type: ignore[assignment]
        start, end = pieces[index]
        substitute(user, part(user, x, dim, start, end))
    node.graph.erase_node(node)


def _unbind(node: fx.Node) -> None:
    x = source(node)
    dim = non_negative(argument(node, "dim"), len(shape_of(x)))
    for user in list(node.users):
        index = int(user.args[1])  # type: ignore[arg-type]
        substitute(user, _pick(user, x, dim, index))
    node.graph.erase_node(node)


def _pick(before: fx.Node, x: fx.Node, dim: int, index: int) -> fx.Node:
    shape = list(shape_of(x))
    index = index + shape[dim] if index < 0 else index
    return reshaped(before, part(before, x, dim, index, index + 1), shape[:dim] + shape[dim + 1 :])


def _select(node: fx.Node) -> fx.Node:
    x, dim, index = arguments(node)[:3]
    return _pick(node, x, non_negative(dim, len(shape_of(x))), index)


def _slice(node: fx.Node) -> fx.Node:
    x, dim, start, end, step = arguments(node)
    dim = non_negative(dim, len(shape_of(x)))
    start, end, step = slice(start, end, step).indices(shape_of(x)[dim])
    return part(node, x, dim, start, max(end, start), step=step)


def _narrow(node: fx.Node) -> fx.Node:
    x, dim, start, length = arguments(node)
    dim = non_negative(dim, len(shape_of(x)))
    start = start + shape_of(x)[dim] if start < 0 else start
    return part(node, x, dim, start, start + length)


def _cat(node: fx.Node) -> fx.Node:
    tensors, dim = arguments(node)
    kept = [t for t in tensors if shape_of(t) != (0,)]
    dim = non_negative(dim, len(shape_of(kept[0])))
    return kept[0] if len(kept) == 1 else call(node, aten.cat.default, kept, dim)


def _stack(node: fx.Node) -> fx.Node:
    tensors, dim = arguments(node)
    shape = list(shape_of(tensors[0]))
    dim = non_negative(dim, len(shape) + 1)
    return call(node, aten.cat.default, [reshaped(node, t, [*shape[:dim], 1, *shape[dim:]]) for t in tensors], dim)


def _roll(node: fx.Node) -> fx.Node:
    x, shifts, dims = arguments(node)
    flat = not dims
    shape = shape_of(x)
    x = reshaped(node, x, [x.meta["val"].numel()]) if flat else x
    for shift, raw in zip(shifts, dims or [0], strict=True):
        dim = non_negative(raw, len(shape_of(x)))
        size = shape_of(x)[dim]
        if cut := (size - shift) % size:
            x = call(node, aten.cat.default, [part(node, x, dim, cut, size), part(node, x, dim, 0, cut)], dim)
    return reshaped(node, x, shape)


def _flip(node: fx.Node) -> fx.Node | None:
    x, dims = arguments(node)
    shape = shape_of(x)
    wanted = sorted(d for d in (non_negative(d, len(shape)) for d in dims) if shape[d] > 1)
    return call(node, aten.flip.default, x, wanted) if wanted else x


def _index(node: fx.Node) -> fx.Node | None:
    """``x[:, i]`` with one integer tensor `i` is ``index_select`` (of a flat `i`) and a reshape.

    Constant indices of neighbouring dimensions are one index of those dimensions merged.
    """
    x, indices = arguments(node)
    given = [(d, i) for d, i in enumerate(indices) if i is not None]
    if any(dtype_of(i) is torch.bool for _, i in given):
        return None
    dim, index = given[0]
    if len(given) == 1:
        return _select_rows(node, x, dim, index)
    values = [constant_value(i) for _, i in given]
    last = given[-1][0]
    if any(v is None for v in values) or last - dim != len(given) - 1:
        return None
    shape = shape_of(x)
    flat = torch.zeros((), dtype=torch.int64)
    for (d, _), value in zip(given, values, strict=True):
        flat = flat * shape[d] + value % shape[d]  # type: ignore[operator]
    merged = reshaped(node, x, [*shape[:dim], prod(shape[dim : last + 1]), *shape[last + 1 :]])
    return _select_rows(node, merged, dim, constant(node, flat, "index"))


def _index_select(node: fx.Node) -> fx.Node:
    x, dim, index = arguments(node)
    return _select_rows(node, x, non_negative(dim, len(shape_of(x))), index)


def _select_rows(node: fx.Node, x: fx.Node, dim: int, index: fx.Node) -> fx.Node:
    """Constant indices become non-negative, and a slice where they count up by ones."""
    size, value = shape_of(x)[dim], constant_value(index)
    if value is not None:
        rows = [int(i) % size for i in value.flatten().tolist()]
        if rows == list(range(rows[0], rows[0] + len(rows))):
            return reshaped(node, part(node, x, dim, rows[0], rows[-1] + 1), shape_of(node))
        if bool((value < 0).any()):
            index = constant(node, torch.tensor(rows, dtype=value.dtype), "index")
    index = reshaped(node, index, [index.meta["val"].numel()])
    return reshaped(node, call(node, aten.index_select.default, x, dim, index), shape_of(node))


def _gather(node: fx.Node) -> fx.Node | None:
    x, dim, index = arguments(node)[:3]
    if dim is None:
        return None
    return call(node, aten.gather.default, x, non_negative(dim, len(shape_of(x))), index)


def _embedding(node: fx.Node) -> fx.Node:
    return call(node, aten.embedding.default, node.args[0], node.args[1])


def _one_hot(node: fx.Node) -> fx.Node:
    """Compare with each class."""
    x, classes = source(node), shape_of(node)[-1]
    column = reshaped(node, x, [*shape_of(x), 1])
    same = call(node, aten.eq.Tensor, column, constant(node, torch.arange(classes, dtype=dtype_of(x)), "classes"))
    return call(node, aten._to_copy.default, same, dtype=dtype_of(node))


def _select_scatter(node: fx.Node) -> fx.Node:
    x, source, dim, index = arguments(node)
    dim = non_negative(dim, len(shape_of(x)))
    shape = list(shape_of(x))
    row = reshaped(node, source, [*shape[:dim], 1, *shape[dim + 1 :]])
    return _overwritten(node, x, row, dim, non_negative(index, shape[dim]))


def _slice_scatter(node: fx.Node) -> fx.Node | None:
    x, source, dim, start, end, step = arguments(node)
    dim = non_negative(dim, len(shape_of(x)))
    start, _, step = slice(start, end, step).indices(shape_of(x)[dim])
    return _overwritten(node, x, source, dim, start) if step == 1 else None


def _overwritten(node: fx.Node, x: fx.Node, source: fx.Node, dim: int, start: int) -> fx.Node:
    """`x` with a part along one dimension replaced by `source`."""
    size, end = shape_of(x)[dim], start + shape_of(source)[dim]
    head = [part(node, x, dim, 0, start)] if start else []
    tail = [part(node, x, dim, end, size)] if end < size else []
    pieces = [*head, source, *tail]
    return source if len(pieces) == 1 else call(node, aten.cat.default, pieces, dim)


def _index_put(node: fx.Node) -> fx.Node | None:
    """Writing one value under a boolean mask is a choice."""
    x, indices, value, accumulate_ = arguments(node)
    if accumulate_ or len(indices) != 1 or dtype_of(indices[0]) is not torch.bool or value.meta["val"].numel() != 1:
        return None
    mask = indices[0]
    mask = reshaped(node, mask, [*shape_of(mask), *[1] * (len(shape_of(x)) - len(shape_of(mask)))])
    return call(node, aten.where.self, mask, reshaped(node, value, []), x)


_RULES: dict[object, Rule] = {
    aten.select.int: _select,
    aten.slice.Tensor: _slice,
    aten.narrow.default: _narrow,
    aten.roll.default: _roll,
    aten.flip.default: _flip,
    aten.stack.default: _stack,
    **dict.fromkeys(overloads("cat concat concatenate"), _cat),
    aten.index.Tensor: _index,
    aten.index_select.default: _index_select,
    **dict.fromkeys(overloads("gather take_along_dim"), _gather),
    aten.embedding.default: _embedding,
    aten.one_hot.default: _one_hot,
    aten.select_scatter.default: _select_scatter,
    aten.slice_scatter.default: _slice_scatter,
    aten.index_put.default: _index_put,
}
