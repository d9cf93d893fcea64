"""Letting the linear that makes the queries apply attention's scale.

Given:  linear(x, w, b) → slices, reshapes, permutes → q, times a number, read by one node alone
Result: linear(x, w', b') with the rows that end up in q scaled; also where the same linear makes keys and values
        (a fused qkv projection), as long as no other reader sees those rows
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, fx

from edgekit.conversion.lowering.rewrite import Pen
from edgekit.graph import argument, aten, constant, constant_value, is_call, is_scalable, reweigh, shape_of

MOVEMENT = (aten.reshape.default, aten.permute.default, aten.slice.Tensor)


def scaled_query(attention: fx.Node, query: fx.Node, scale: float) -> fx.Node:
    """`query` times `scale`: itself where its linear could take the scale, else a multiplication."""
    others = (argument(attention, "key"), argument(attention, "value"))
    if scale == 1 or (query not in others and scaled_by_linear(attention, query, scale)):
        return query
    return Pen(attention).mul(query, scale)


def scaled_by_linear(reader: fx.Node, operand: fx.Node, scale: float) -> bool:
    """Have the linear behind `operand` scale it, if `reader` alone reads those of its features."""
    linear = operand
    while is_call(linear, *MOVEMENT):
        linear = linear.args[0]  # type: ignore[assignment]
    weight = argument(linear, "weight") if is_call(linear, aten.linear.default) else None
    if constant_value(weight) is None or not is_scalable(weight):
        return False
    rows = _rows_seen_only_by(reader, operand, linear)
    if rows is not None:
        _scale_rows(linear, rows, scale)
    return rows is not None


def _rows_seen_only_by(reader: fx.Node, operand: fx.Node, linear: fx.Node) -> Tensor | None:
    """The output features of `linear` that reach `operand`, if no other node reads any of them."""
    features = torch.arange(shape_of(linear)[-1]).expand(shape_of(linear))
    leaves = list(_leaves(linear, features))
    wanted = torch.cat([torch.unique(rows) for node, source, rows in leaves if source is operand and node is reader])
    others = [torch.unique(rows) for node, source, rows in leaves if source is not operand or node is not reader]
    return None if others and bool(torch.isin(wanted, torch.cat(others)).any()) else wanted


def _leaves(node: fx.Node, features: Tensor) -> Iterator[tuple[fx.Node, fx.Node, Tensor]]:
    """Every reader behind data movement, with the node it reads and which features that holds."""
    for user in node.users:
        if is_call(user, *MOVEMENT):
            yield from _leaves(user, user.target(features, *user.args[1:], **user.kwargs))  # type: ignore[operator]
        else:
            yield user, node, features


def _scale_rows(linear: fx.Node, rows: Tensor, scale: float) -> None:
    factor = torch.ones(shape_of(linear)[-1])
    factor[rows] = scale
    weight, bias = argument(linear, "weight"), constant_value(argument(linear, "bias"))
    linear.update_arg(1, reweigh(linear, weight, lambda w: w * factor[:, None], f"{linear.name}_weight"))
    if bias is not None:
        linear.update_arg(2, constant(linear, bias * factor, f"{linear.name}_bias"))
