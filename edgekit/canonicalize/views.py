"""Spell every change of shape ``reshape``, every reordering ``permute``, every broadcast ``expand``.

Given: ``y = x.flatten(1)``, ``y = x.transpose(1, 2)``, ``y = x.expand_as(z)``.
Result: ``y = reshape(x, [1, 48])``, ``y = permute(x, [0, 2, 1])``, ``y = expand(x, [1, 4, 8])``, with static sizes.
"""

from __future__ import annotations

import torch
from torch import fx

from edgekit.canonicalize.rewriting import Rule, apply_rules, arguments, non_negative, overloads, permuted, reshaped, source
from edgekit.graph import argument, aten, call, constant, dtype_of, shape_of

_RESHAPES = overloads(
    "view reshape _unsafe_view flatten.using_ints unflatten.int squeeze squeeze.dim squeeze.dims unsqueeze view_as reshape_as ravel"
    " _reshape_alias atleast_1d atleast_2d atleast_3d view_copy unsqueeze_copy squeeze_copy.dim squeeze_copy.dims"
)
_PERMUTES = overloads(
    "permute transpose.int t swapaxes swapdims movedim.int movedim.intlist moveaxis.int moveaxis.intlist mT adjoint numpy_T"
)
_EXPANDS = overloads("expand expand_as broadcast_to")


def views(graph: fx.Graph) -> None:
    """Merge the spellings of shape changes."""
    apply_rules(graph, _RULES)


def _reshape(node: fx.Node) -> fx.Node:
    return reshaped(node, source(node), shape_of(node))


def _permute(node: fx.Node) -> fx.Node:
    """Ask the call itself: a tensor of distinct sizes tells where each dimension goes."""
    x = source(node)
    probe = torch.empty(tuple(range(2, 2 + len(shape_of(x)))), device="meta")
    assert callable(node.target)
    order = [size - 2 for size in node.target(probe, *node.args[1:], **node.kwargs).shape]
    return permuted(node, x, order)


def _expand(node: fx.Node) -> fx.Node:
    x, sizes = source(node), list(shape_of(node))
    return x if list(shape_of(x)) == sizes else call(node, aten.expand.default, x, sizes)


def _repeat(node: fx.Node) -> fx.Node:
    """``repeat`` with one count a dimension of its operand; all ones is nothing."""
    x, counts = source(node), list(arguments(node)[1])
    rank = max(len(shape_of(x)), len(counts))
    counts = [1] * (rank - len(counts)) + counts
    x = reshaped(node, x, [1] * (rank - len(shape_of(x))) + list(shape_of(x)))
    return x if set(counts) <= {1} else call(node, aten.repeat.default, x, counts)


def _repeat_interleave(node: fx.Node) -> fx.Node:
    """Each element some times in a row: a new dimension, expanded and merged."""
    x, count, dim = source(node), argument(node, "repeats"), argument(node, "dim")
    shape = list(shape_of(x)) if dim is not None else [x.meta["val"].numel()]
    dim = non_negative(dim or 0, len(shape))
    split = reshaped(node, x, [*shape[: dim + 1], 1, *shape[dim + 1 :]])
    wide = call(node, aten.expand.default, split, [*shape[: dim + 1], count, *shape[dim + 1 :]])
    return reshaped(node, wide, shape_of(node))


def _channel_shuffle(node: fx.Node) -> fx.Node:
    x, groups = source(node), argument(node, "groups")
    batch, channels, *rest = shape_of(x)
    grouped = reshaped(node, x, [batch, groups, channels // groups, *rest])
    swapped = permuted(node, grouped, [0, 2, 1, *range(3, 3 + len(rest))])
    return reshaped(node, swapped, shape_of(node))


def _fill(node: fx.Node) -> fx.Node | None:
    """``zeros_like`` and its kind: a one-element constant, expanded."""
    values = {"zeros_like": 0, "ones_like": 1, "new_zeros": 0, "new_ones": 1}
    name = node.target._schema.name.split("::")[1]  # type: ignore[union-attr]
    value = values[name] if name in values else argument(node, "fill_value" if name.startswith(("full", "new")) else "value")
    if isinstance(value, fx.Node):
        return call(node, aten.expand.default, value, list(shape_of(node)))
    shape = shape_of(node)
    splat = constant(node, torch.full([1] * len(shape), value, dtype=dtype_of(node)), "fill")
    return splat if set(shape) <= {1} else call(node, aten.expand.default, splat, list(shape))


_RULES: dict[object, Rule] = {
    **dict.fromkeys(_RESHAPES, _reshape),
    **dict.fromkeys(_PERMUTES, _permute),
    **dict.fromkeys(_EXPANDS, _expand),
    **dict.fromkeys(overloads("repeat tile"), _repeat),
    **dict.fromkeys(overloads("zeros_like ones_like full_like new_zeros new_ones new_full fill.Scalar fill.Tensor"), _fill),
    aten.repeat_interleave.self_int: _repeat_interleave,
    aten.channel_shuffle.default: _channel_shuffle,
}
