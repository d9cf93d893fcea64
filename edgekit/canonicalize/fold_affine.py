"""Fold constant scales and shifts into the convolution or linear layer beside them.

Given: ``add(mul(convolution(x, w, b), s), t)`` with a number a channel; ``linear(add(mul(x, s), t), w, b)``.
Result: ``convolution(x, w·s, b·s + t)``; ``linear(x, w·s, b + w·t)``.

This is what becomes of batch normalization, of a bias added apart, of Keras' Rescaling and Normalization, of layer
scale and of the 1/√d of attention (a single number passes through reshapes and permutes, a bias of heads through the
reshape that splits them, a bias of channels through a crop). Into the *following*
layer a scale always folds; a shift only where nothing is padded, since padding is zero after the shift, not before.
"""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor, fx

from edgekit.canonicalize.merge_affine import affine_step
from edgekit.canonicalize.rewriting import calls, only_user
from edgekit.graph import aten, constant, constant_value, is_call, shape_of

_ADD, _MUL = aten.add.Tensor, aten.mul.Tensor
_CONVOLUTION, _LINEAR = aten.convolution.default, aten.linear.default
_MOVES = (aten.reshape.default, aten.permute.default, aten.slice.Tensor)


def fold_affine(graph: fx.Graph) -> None:
    """Fold steps into the layer before them, then the rest into the layer after them."""
    for node in calls(graph, {_ADD, _MUL}):
        _fold_back(node)
    for node in calls(graph, {_CONVOLUTION, _LINEAR}):
        _fold_forward(node)


def _fold_back(node: fx.Node) -> None:
    step = affine_step(node, node.target)
    if step is None:
        return
    x, value = step
    found = _layer_before(x, node)
    if found is None:
        return
    layer, moves = found
    vector = _through(moves, value, shape_of(node), layer)
    if vector is None:
        return
    weight, bias = _parameters(layer)
    if node.target is _ADD:
        bias = vector if bias is None else bias + vector
    else:
        weight, bias = _scale_outputs(layer, weight, vector), None if bias is None else bias * vector
    _write(layer, weight if node.target is _MUL else None, bias)
    node.replace_all_uses_with(x)
    node.graph.erase_node(node)


def _layer_before(x: fx.Node, user: fx.Node) -> tuple[fx.Node, list[fx.Node]] | None:
    """The layer with constant weights whose result only `user` reads, and the moves between them."""
    moves: list[fx.Node] = []
    while only_user(x) is user:
        if is_call(x, _CONVOLUTION, _LINEAR):
            return (x, moves) if _constant_layer(x) else None
        if not is_call(x, *_MOVES):
            return None
        moves.append(x)
        x, user = x.args[0], x  # type: ignore[assignment]
    return None


def _through(moves: list[fx.Node], value: Tensor, shape: tuple[int, ...], layer: fx.Node) -> Tensor | None:
    """The constant as a number an output channel of the layer, seen through the moves; None if it is not that."""
    channel = _channel(layer)
    channels = shape_of(layer)[channel]
    if value.numel() == 1:
        return value.double().reshape(1).expand(channels)
    if all(m.target is aten.slice.Tensor and m.args[1] != channel for m in moves):
        return _a_number_a_channel(value, len(shape), channel, channels)
    if layer.target is _LINEAR and len(moves) == 1 and moves[0].target is aten.reshape.default:
        return _split_channels(value, shape, channels)
    return None


def _split_channels(value: Tensor, shape: tuple[int, ...], channels: int) -> Tensor | None:
    """A constant over trailing dimensions that a reshape split the channels into (heads and their width)."""
    lead = len(shape)
    while lead and prod(shape[lead:]) < channels:
        lead -= 1
    wide = (1,) * (len(shape) - value.dim()) + tuple(value.shape)
    fits = prod(shape[lead:]) == channels and wide[:lead] == (1,) * lead
    return value.double().reshape(wide[lead:]).expand(shape[lead:]).reshape(channels) if fits else None


def _channel(layer: fx.Node) -> int:
    return 1 if layer.target is _CONVOLUTION else len(shape_of(layer)) - 1


def _constant_layer(layer: fx.Node) -> bool:
    return constant_value(layer.args[1]) is not None and (layer.args[2] is None or constant_value(layer.args[2]) is not None)


def _a_number_a_channel(value: Tensor, rank: int, channel: int, channels: int) -> Tensor | None:
    """`value` as a double vector of length `channels`, if it varies along that dimension only."""
    shape = [1] * (rank - value.dim()) + list(value.shape)
    if value.numel() == 1:
        return value.double().reshape(1).expand(channels)
    alone = value.numel() == channels and shape[channel] == channels
    return value.double().reshape(channels) if alone else None


def _parameters(layer: fx.Node) -> tuple[Tensor, Tensor | None]:
    weight, bias = constant_value(layer.args[1]), constant_value(layer.args[2])
    assert weight is not None
    return weight.double(), None if bias is None else bias.double()


def _write(layer: fx.Node, weight: Tensor | None, bias: Tensor | None) -> None:
    args = list(layer.args)
    dtype = layer.meta["val"].dtype
    if weight is not None:
        args[1] = constant(layer, weight.to(dtype), str(layer.args[1].target))  # type: ignore[union-attr]
    if bias is not None:
        args[2] = constant(layer, bias.to(dtype), f"{layer.args[1].target}_bias")  # type: ignore[union-attr]
    layer.args = tuple(args)


def _scale_outputs(layer: fx.Node, weight: Tensor, scale: Tensor) -> Tensor:
    """Scale what makes each output channel; a transposed convolution keeps outputs on axis 1, by group."""
    spatial = [1] * (weight.dim() - 2)
    if not _transposed(layer):
        return weight * scale.reshape(-1, 1, *spatial)
    groups: int = layer.args[8]  # type: ignore[assignment]
    grouped = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    return (grouped * scale.reshape(groups, 1, -1, *spatial)).reshape(weight.shape)


def _input_factors(layer: fx.Node, weight: Tensor, vector: Tensor) -> Tensor:
    """A number an input channel, shaped to multiply the weight."""
    spatial = [1] * (weight.dim() - 2)
    if _transposed(layer):
        return vector.reshape(-1, 1, *spatial).expand_as(weight)
    groups: int = layer.args[8] if layer.target is _CONVOLUTION else 1  # type: ignore[assignment]
    by_group = vector.reshape(groups, 1, -1).expand(groups, weight.shape[0] // groups, -1)
    return by_group.reshape(weight.shape[0], weight.shape[1], *spatial)


def _transposed(layer: fx.Node) -> bool:
    return layer.target is _CONVOLUTION and bool(layer.args[6])


def _fold_forward(layer: fx.Node) -> None:
    if not _constant_layer(layer):
        return
    if not _transposed(layer) and not _pads(layer):
        _absorb(layer, _ADD)
    _absorb(layer, _MUL)


def _pads(layer: fx.Node) -> bool:
    return layer.target is _CONVOLUTION and any(layer.args[4])  # type: ignore[arg-type]


def _absorb(layer: fx.Node, target: Any) -> None:
    x = layer.args[0]
    assert isinstance(x, fx.Node)
    step = affine_step(x, target)
    if step is None or only_user(x) is not layer:
        return
    channel = _channel(layer)
    vector = _a_number_a_channel(step[1], len(shape_of(x)), channel, shape_of(x)[channel])
    if vector is None:
        return
    weight, bias = _parameters(layer)
    if target is _MUL:
        _write(layer, weight * _input_factors(layer, weight, vector), None)
    else:
        added = (weight * _input_factors(layer, weight, vector)).flatten(1).sum(1)
        _write(layer, None, added if bias is None else bias + added)
    layer.args = (step[0], *layer.args[1:])
    x.graph.erase_node(x)
