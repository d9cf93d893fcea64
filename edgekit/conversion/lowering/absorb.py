"""Moving a scale and shift a channel into the weights of a neighbouring convolution or linear, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, fx

from edgekit.constraints import Change
from edgekit.conversion.lowering.chain import Chain
from edgekit.graph import argument, aten, constant, constant_value, is_call, is_scalable, reweigh, shape_of

_WEIGHTED = (aten.convolution.default, aten.linear.default)


def absorbed_by_producer(chain: Chain) -> bool:
    """Have the weights that make ``chain.x`` make ``chain.last``, if nothing else reads what is between."""
    node, axis = chain.x, chain.axis
    while is_call(node, aten.permute.default) and len(node.users) == 1:
        axis = None if axis is None else argument(node, "dims")[axis]
        node = node.args[0]  # type: ignore[assignment]
    if not has_own_constant_weight(node) or len(node.users) != 1:
        return False
    convolution = is_call(node, aten.convolution.default)
    transposed = convolution and bool(argument(node, "transposed"))
    if axis not in (None, 1 if convolution else len(shape_of(node)) - 1) or (transposed and argument(node, "groups") != 1):
        return False
    lead = (1, -1) if transposed else (-1,)
    give(node, lambda w: w * chain.scale.reshape(*lead, *[1] * (w.ndim - len(lead))), _bias(node) * chain.scale + chain.shift)
    return True


def absorbed_by_readers(chain: Chain) -> bool:
    """Have every reader of ``chain.last`` compute the same from ``chain.x``, if all of them can."""
    shifted = bool((chain.shift != 0).any())
    readers = list(_readers(chain.last, chain.axis, shifted))
    if None in readers or not readers:
        return False
    for reader in cast("list[fx.Node]", readers):
        weight, bias = constant_value(argument(reader, "weight")), _bias(reader)
        assert weight is not None
        scale, shift = _columns(reader, weight, chain.scale), _columns(reader, weight, chain.shift)
        give(reader, scale.mul, bias + (weight * shift).flatten(1).sum(1))
    return True


def _readers(node: fx.Node, axis: int | None, shifted: bool) -> Iterator[fx.Node | None]:
    """The linears and convolutions that read `node`, past permutes and padding; None for one that cannot absorb."""
    for user in node.users:
        if is_call(user, aten.permute.default):
            yield from _readers(user, None if axis is None else argument(user, "dims").index(axis), shifted)
        elif not shifted and _pads_zeros(user) and (axis is None or shape_of(user)[axis] == shape_of(node)[axis]):
            yield from _readers(user, axis, shifted)
        else:
            yield user if _can_read(user, node, axis, shifted) else None


def _pads_zeros(node: fx.Node) -> bool:
    return is_call(node, aten.pad.default) and argument(node, "mode") == "constant" and not argument(node, "value")


def _can_read(reader: fx.Node, node: fx.Node, axis: int | None, shifted: bool) -> bool:
    if not has_own_constant_weight(reader) or reader.args[0] is not node or list(reader.all_input_nodes).count(node) != 1:
        return False
    if is_call(reader, aten.linear.default):
        return axis in (None, len(shape_of(node)) - 1)
    padded = any(argument(reader, "padding"))
    return axis in (None, 1) and not argument(reader, "transposed") and not (padded and shifted)


def _columns(reader: fx.Node, weight: Tensor, values: Tensor) -> Tensor:
    """One value an input channel, as it meets `weight`: (outputs, inputs of a group, 1, ...)."""
    groups = argument(reader, "groups") if is_call(reader, aten.convolution.default) else 1
    inputs = values.expand(weight.shape[1] * groups).reshape(groups, weight.shape[1])
    rows = inputs.repeat_interleave(weight.shape[0] // groups, 0)
    return rows.reshape(*rows.shape, *[1] * (weight.ndim - 2))


def has_own_constant_weight(node: fx.Node) -> bool:
    """Whether `node` has a constant weight that may change and is its own: a shared one would have to be stored twice."""
    if not is_call(node, *_WEIGHTED) or constant_value(argument(node, "weight")) is None or not is_scalable(argument(node, "weight")):
        return False
    uses = node.graph.find_nodes(op="get_attr", target=argument(node, "weight").target)
    bias = argument(node, "bias")
    return sum(len(use.users) for use in uses) == 1 and (bias is None or constant_value(bias) is not None)


def _bias(node: fx.Node) -> Tensor:
    value = constant_value(argument(node, "bias"))
    channels = shape_of(node)[1 if is_call(node, aten.convolution.default) else -1]
    return torch.zeros(channels) if value is None else value


def give(node: fx.Node, change: Change, bias: Tensor) -> None:
    """Change the weight of `node` and exchange its bias for this one, under the names of the old ones."""
    old, weight = argument(node, "bias"), argument(node, "weight")
    _set(node, 1, "weight", reweigh(node, weight, change, str(weight.target)))
    if old is not None or bool((bias != 0).any()):
        _set(node, 2, "bias", constant(node, bias, f"{node.name}_bias" if old is None else str(old.target)))


def _set(node: fx.Node, position: int, name: str, value: fx.Node) -> None:
    if len(node.args) > position:
        node.update_arg(position, value)
    else:
        node.update_kwarg(name, value)
