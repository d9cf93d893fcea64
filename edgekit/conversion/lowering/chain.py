"""Recognizing chains of elementwise operators by constants that come to one scale and one shift a channel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from edgekit.graph import argument, aten, constant_value, dtype_of, is_call, shape_of

OPERATIONS = (aten.mul.Tensor, aten.add.Tensor, aten.sub.Tensor, aten.div.Tensor)


@dataclass(frozen=True)
class Chain:
    """``last = x * scale + shift`` along one axis.

    Attributes:
        x: What the chain reads.
        first: Its first node, which reads `x`.
        last: Its last node.
        axis: The channel axis of `x`, None where scale and shift are single numbers.
        scale: Shape (channels,) or (1,).
        shift: The same.
    """

    x: fx.Node
    first: fx.Node
    last: fx.Node
    axis: int | None
    scale: Tensor
    shift: Tensor


def chain_from(node: fx.Node) -> Chain | None:
    """The longest chain that starts at `node`, None where `node` is no such operator."""
    chain = _link(node)
    while chain is not None and len(chain.last.users) == 1:
        following = _link(next(iter(chain.last.users)))
        if following is None or following.x is not chain.last:
            break
        if None not in (chain.axis, following.axis) and chain.axis != following.axis:
            break
        axis = chain.axis if following.axis is None else following.axis
        scale, shift = following.scale * chain.scale, following.scale * chain.shift + following.shift
        size = max(len(scale), len(shift))
        chain = Chain(chain.x, chain.first, following.last, axis, scale.expand(size), shift.expand(size))
    return chain


def _link(node: fx.Node) -> Chain | None:
    """One operator as a chain."""
    if not is_call(node, *OPERATIONS) or not dtype_of(node).is_floating_point:
        return None
    left, right = argument(node, "self"), argument(node, "other")
    swapped = constant_value(right) is None
    x, value = (right, constant_value(left)) if swapped else (left, constant_value(right))
    if value is None or constant_value(x) is not None or shape_of(x) != shape_of(node):
        return None
    axes = [axis for axis, size in enumerate(value.shape, start=len(shape_of(x)) - value.ndim) if size != 1]
    if len(axes) > 1 or (swapped and node.target is aten.div.Tensor):
        return None
    scale, shift = _scale_and_shift(node.target, value.reshape(-1), swapped)
    return Chain(x, node, node, axes[0] if axes else None, scale, shift)


def _scale_and_shift(operation: object, value: Tensor, swapped: bool) -> tuple[Tensor, Tensor]:
    one, zero = torch.ones_like(value), torch.zeros_like(value)
    if operation is aten.mul.Tensor:
        return value, zero
    if operation is aten.div.Tensor:
        return 1 / value, zero
    if operation is aten.add.Tensor:
        return one, value
    return (-one, value) if swapped else (one, -value)
