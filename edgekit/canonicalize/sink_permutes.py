"""Move permutes down through calls that do not care, until they meet their inverse and cancel.

Given: ``permute → relu → pad → permute⁻¹ → convolution``, as every channels-last model looks after export.
Result: ``relu → pad → convolution``, with the pad's dimensions renamed.

One pass in execution order. For each value it keeps a *view*: ``value == permute(base, order)``. A call that treats
all dimensions alike, or names the ones it treats, is rebuilt on the bases and hands the order on; any other call gets
its operands materialized, each once. Where operands disagree, the order that permutes fewest elements anew wins;
constants, and tensors whose permute moves only dimensions of size 1, change order for free. The batch stays where it is.

A model input whose only way into a convolution leads through a permute (after padding or scaling in the model's own
layout) is permuted first of all, so that the pad meets its convolution.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.canonicalize.rewriting import sweep
from edgekit.canonicalize.vocabulary import BINARY, POINTWISE, REDUCTION, TERNARY
from edgekit.graph import aten, call, constant, constant_value, shape_of

Order = tuple[int, ...]
View = tuple[fx.Node, Order]

_BY_DIMENSION = frozenset(
    [aten.softmax.int, aten.log_softmax.int, aten.cumsum.default, aten.glu.default, aten.slice.Tensor, aten.index_select.default]
)
"""Calls whose second argument is one dimension and whose result keeps all dimensions."""

_CHANNELS_FIRST = frozenset(
    [aten.convolution.default, aten.avg_pool2d.default, aten.max_pool2d.default, aten.group_norm.default, aten.pixel_shuffle.default,
     aten.upsample_nearest2d.vec, aten.upsample_bilinear2d.vec]
)  # fmt: skip


def sink_permutes(graph: fx.Graph) -> None:
    """Sink permutes and cancel inverse pairs."""
    _Sinking(graph).run()
    sweep(graph)


def inverse(order: Order) -> Order:
    """The order that undoes `order`."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def is_free(shape: tuple[int, ...], order: Order) -> bool:
    """Whether permuting a tensor of this shape moves only dimensions of size 1, and not the batch."""
    kept = [d for d in order if d == 0 or shape[d] != 1]
    return not order or (order[0] == 0 and kept == sorted(kept))


class _Sinking:
    """One pass over a graph."""

    def __init__(self, graph: fx.Graph) -> None:
        self.graph = graph
        self.views: dict[fx.Node, View] = {}
        self.made: dict[View, fx.Node] = {}

    def run(self) -> None:
        for node in list(self.graph.nodes):
            if node.op == "placeholder":
                self._enter(node)
            elif node.op == "output":
                node.args = fx.node.map_arg(node.args, functools.partial(self.materialized, before=node))
            elif node.op == "call_function":
                self._visit(node)

    def _enter(self, node: fx.Node) -> None:
        entry = entry_permute(node)
        if entry is not None:
            order: Order = tuple(entry.args[1])  # type: ignore[arg-type]
            first = next(n for n in _following(node) if n.op != "placeholder")
            base = self._made(node, order, first, like=entry)
            self.views[node] = (base, inverse(order))
            self.made[base, inverse(order)] = node

    def _visit(self, node: fx.Node) -> None:
        if node.target is aten.permute.default:
            base, order = self.view(node.args[0])
            self.views[node] = (base, tuple(order[d] for d in node.args[1]))  # type: ignore
            return
        rebuilt = None
        if any(self._is_permuted(n) for n in node.all_input_nodes):
            rebuilt = self._rebuild(node)
        if rebuilt is not None:
            self.views[node] = rebuilt
            return
        value = functools.partial(self.materialized, before=node)
        node.args = fx.node.map_arg(node.args, value)
        node.kwargs = fx.node.map_arg(node.kwargs, value)

    def _rebuild(self, node: fx.Node) -> View | None:
        """The call on bases, and the order of its result; None if the call needs its operands as they are."""
        rebuild = _REBUILD.get(node.target)
        return None if rebuild is None else rebuild(self, node)

    def view(self, node: Any) -> View:
        """The base and the order that give a value; itself, where it is no view."""
        return self.views.get(node) or (node, tuple(range(len(shape_of(node)))))

    def _is_permuted(self, node: fx.Node) -> bool:
        order = self.views[node][1] if node in self.views else ()
        return list(order) != sorted(order)

    def materialized(self, node: fx.Node, before: fx.Node) -> fx.Node:
        """The value itself, made from its base where it has to be."""
        if node not in self.views:
            return node
        return self._made(*self.views[node], before, like=node)

    def cheapest_order(self, operands: list[fx.Node], rank: int) -> Order | None:
        """The order in which fewest elements must be permuted anew; a permuted one on a tie; None if it is the identity."""
        identity = tuple(range(rank))
        orders = {self.view(o)[1] for o in operands if len(shape_of(o)) == rank and self._is_permuted(o)}
        computed = [o for o in operands if constant_value(o) is None]
        costs = {order: sum(self._cost(o, order) for o in computed) for order in (*sorted(orders), identity)}
        best = min(costs, key=lambda order: (costs[order], order == identity))
        return None if best == identity else best

    def _cost(self, operand: fx.Node, order: Order) -> int:
        """Elements to permute before a call on bases of this order can read `operand`."""
        base, combined = self._conversion(operand, order)
        shape = shape_of(operand) if base is None else shape_of(base)
        done = base is not None and (base, combined) in self.made
        return 0 if done or is_free(shape, combined) else operand.meta["val"].numel()

    def _conversion(self, operand: fx.Node, order: Order) -> tuple[fx.Node | None, Order]:
        """The base to permute, and how, to read `operand` in this order. The base is None where it must first gain dimensions."""
        base, own = self.view(operand)
        back = inverse(order)
        if len(own) == len(order):
            return base, tuple(own[d] for d in back)
        missing = len(order) - len(own)
        return None, tuple(d - missing for d in back if d >= missing)

    def in_order(self, operand: fx.Node, order: Order, before: fx.Node) -> fx.Node:
        """The base that gives `operand` when permuted by `order`."""
        rank, back = len(order), inverse(order)
        value = constant_value(operand)
        if len(shape_of(operand)) == 0:
            return operand
        if value is not None:
            wide = value.reshape([1] * (rank - value.dim()) + list(value.shape))
            return constant(before, wide.permute(back), str(operand.target))
        base, combined = self._conversion(operand, order)
        if base is None:
            here = self.materialized(operand, before)
            base = call(before, aten.reshape.default, here, [1] * (rank - len(shape_of(here))) + list(shape_of(here)), like=operand)
            combined = back
        return self._made(base, combined, before, like=operand)

    def _made(self, base: fx.Node, order: Order, before: fx.Node, like: fx.Node) -> fx.Node:
        """``permute(base, order)``, made once; a reshape where it moves only dimensions of size 1."""
        if list(order) == sorted(order):
            return base
        if (base, order) not in self.made:
            shape = [shape_of(base)[d] for d in order]
            if is_free(shape_of(base), order):
                self.made[base, order] = call(before, aten.reshape.default, base, shape, like=like)
            else:
                self.made[base, order] = call(before, aten.permute.default, base, list(order), like=like)
        return self.made[base, order]


def _rebuilt(node: fx.Node, order: Order, *args: Any) -> View:
    """The call on bases, whose result is that of `node` before `order`."""
    value = node.meta["val"].permute(inverse(order))
    return call(node, node.target, *args, like=node, val=torch.empty(value.shape, dtype=value.dtype, device="meta"), **node.kwargs), order


def _pointwise(pass_: _Sinking, node: fx.Node) -> View | None:
    operands = node.all_input_nodes
    rank = len(shape_of(node))
    order = pass_.cheapest_order(operands, rank)
    if order is None:
        return None
    args = fx.node.map_arg(node.args, lambda n: pass_.in_order(n, order, node))
    return _rebuilt(node, order, *args)


def _concatenate(pass_: _Sinking, node: fx.Node) -> View | None:
    tensors: list[fx.Node] = list(node.args[0])  # type: ignore[arg-type]
    order = pass_.cheapest_order(tensors, len(shape_of(node)))
    if order is None:
        return None
    bases = [pass_.in_order(t, order, node) for t in tensors]
    dim: int = node.args[1]  # type: ignore[assignment]
    return _rebuilt(node, order, bases, order[dim])


def _along_one(pass_: _Sinking, node: fx.Node) -> View | None:
    base, order = pass_.view(node.args[0])
    dim: int = node.args[1]  # type: ignore[assignment]
    rest = fx.node.map_arg(node.args[2:], lambda n: pass_.materialized(n, node))
    return _rebuilt(node, order, base, order[dim], *rest)


def _reduce(pass_: _Sinking, node: fx.Node) -> View | None:
    """Dimensions are renamed; where they vanish, those that stay keep their order among themselves."""
    base, order = pass_.view(node.args[0])
    given: list[int] | int = node.args[1]  # type: ignore[assignment]
    dims = [given] if isinstance(given, int) else given
    renamed = sorted(order[d] for d in dims)
    several = dims is given
    keep = bool(node.args[2])
    if keep:
        return _rebuilt(node, order, base, renamed if several else renamed[0], keep)
    left = [o for d, o in enumerate(order) if d not in dims]
    ranks = sorted(left)
    return _rebuilt(node, tuple(ranks.index(o) for o in left), base, renamed if several else renamed[0], keep)


def _flip(pass_: _Sinking, node: fx.Node) -> View | None:
    base, order = pass_.view(node.args[0])
    dims: list[int] = node.args[1]  # type: ignore[assignment]
    return _rebuilt(node, order, base, sorted(order[d] for d in dims))


def _sized(pass_: _Sinking, node: fx.Node) -> View | None:
    """``expand`` and ``repeat``: a number a dimension."""
    base, order = pass_.view(node.args[0])
    sizes: list[int] = list(node.args[1])  # type: ignore[arg-type]
    if len(sizes) != len(order):
        return None
    return _rebuilt(node, order, base, [sizes[d] for d in inverse(order)])


def _pad(pass_: _Sinking, node: fx.Node) -> View | None:
    """Pads are listed from the last dimension; modes other than constant must keep to the trailing ones."""
    base, order = pass_.view(node.args[0])
    pads: list[int] = list(node.args[1])  # type: ignore[arg-type]
    rank = len(order)
    by_dim = {order[rank - 1 - i]: pads[2 * i : 2 * i + 2] for i in range(len(pads) // 2)}
    used = [d for d, p in by_dim.items() if any(p)]
    listed = rank - min(used, default=rank)
    if node.args[2] != "constant" and listed > rank - 2:
        return None
    renamed = [p for d in range(rank - 1, rank - 1 - listed, -1) for p in by_dim.get(d, [0, 0])]
    return _rebuilt(node, order, base, renamed, *node.args[2:])


_REBUILD: dict[Any, Callable[[_Sinking, fx.Node], View | None]] = {
    **dict.fromkeys(POINTWISE, _pointwise),
    **dict.fromkeys(_BY_DIMENSION, _along_one),
    **dict.fromkeys(REDUCTION, _reduce),
    aten.argmax.default: _reduce,
    aten.cat.default: _concatenate,
    aten.flip.default: _flip,
    aten.expand.default: _sized,
    aten.repeat.default: _sized,
    aten.pad.default: _pad,
}


def entry_permute(node: fx.Node) -> fx.Node | None:
    """The permute through which a model input meets its channels-first layers, if they all meet it in the same order."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.dim() < 3:
        return None
    met = list(_permutes_met(node))
    return met[0] if len({tuple(p.args[1]) for p in met}) == 1 else None  # type: ignore[arg-type]


def _permutes_met(node: fx.Node) -> Iterator[fx.Node]:
    """Permutes reached from an input through padding and arithmetic that feed a channels-first layer."""
    for user in node.users:
        if user.target is aten.permute.default:
            if any(_feeds_channels_first(u) for u in user.users):
                yield user
        elif user.target is aten.pad.default or (user.target in POINTWISE and _one_computed(user)):
            yield from _permutes_met(user)


def _one_computed(node: fx.Node) -> bool:
    same = shape_of(node) == shape_of(node.all_input_nodes[0]) or node.target in BINARY | TERNARY
    return same and sum(constant_value(n) is None for n in node.all_input_nodes) == 1


def _feeds_channels_first(user: fx.Node) -> bool:
    if user.target is aten.pad.default:
        return any(_feeds_channels_first(u) for u in user.users)
    return user.target in _CHANNELS_FIRST


def _following(node: fx.Node) -> Iterator[fx.Node]:
    while node.op != "root":
        yield node
        node = node.next
