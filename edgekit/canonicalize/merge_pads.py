"""Merge pads with each other and into the layer they feed.

Given: ``pad(pad(x, p), q)``; ``convolution(pad(x, [1, 1, 1, 1]), w)``; ``avg_pool2d`` or ``max_pool2d`` of a pad;
    a crop of both ends of a transposed convolution.
Result: ``pad(x, p + q)``; ``convolution`` with padding ``[1, 1]``; pools likewise, where the window is twice the pad at
    least; the transposed convolution with padding, which is such a crop.

Into a layer only if the pad is symmetric, of zeros (of -∞ for a maximum) and spatial; an asymmetric "SAME" pad stays a pad.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import fx

from edgekit.canonicalize.indexing import part
from edgekit.canonicalize.pooling import padded
from edgekit.canonicalize.rewriting import calls, only_user
from edgekit.graph import aten, call, is_call, shape_of, substitute

_PAD = aten.pad.default


def merge_pads(graph: fx.Graph) -> None:
    """Merge constant pads."""
    for node in calls(graph, {_PAD}):
        _merge_pair(node)
    for layer in calls(graph, {aten.convolution.default, aten.avg_pool2d.default, aten.max_pool2d.default}):
        _absorb(layer)
    for crop in calls(graph, {aten.slice.Tensor}):
        _absorb_crop(crop)


def _merge_pair(node: fx.Node) -> None:
    inner = node.args[0]
    if not is_call(inner, _PAD) or only_user(inner) is not node or inner.args[2:] != node.args[2:] or node.args[2] != "constant":  # type: ignore
        return
    assert isinstance(inner, fx.Node) and isinstance(inner.args[0], fx.Node)
    rank = len(shape_of(node))
    first, second = (list(n.args[1]) + [0] * (2 * rank - len(n.args[1])) for n in (inner, node))  # type: ignore
    substitute(node, padded(node, inner.args[0], [a + b for a, b in zip(first, second, strict=True)], "constant", node.args[3]))  # type: ignore[arg-type]


def _absorb(layer: fx.Node) -> None:
    pad = layer.args[0]
    if not is_call(pad, _PAD):
        return
    assert isinstance(pad, fx.Node)
    rank = len(shape_of(layer)) - 2
    pads: list[int] = list(pad.args[1])  # type: ignore[arg-type]
    pads += [0] * (2 * rank - len(pads))
    symmetric = all(a == b for a, b in zip(pads[::2], pads[1::2], strict=True))
    if pad.args[2] != "constant" or len(pads) > 2 * rank or not symmetric:
        return
    extra = pads[::2][::-1]
    if _PADS_WITH[layer.target](layer, pad.args[3], extra):
        at = 4 if layer.target is aten.convolution.default else 3
        own: list[int] = layer.args[at]  # type: ignore[assignment]
        layer.args = (pad.args[0], *layer.args[1:at], [a + b for a, b in zip(own, extra, strict=True)], *layer.args[at + 1 :])


def _absorb_crop(crop: fx.Node) -> None:
    layer, dim, start, end, step = crop.args
    if not is_call(layer, aten.convolution.default) or only_user(layer) is not crop:  # type: ignore[arg-type]
        return
    assert isinstance(layer, fx.Node) and isinstance(dim, int) and isinstance(start, int) and isinstance(end, int)
    size = shape_of(layer)[dim]
    both = min(start, size - end)
    if not layer.args[6] or dim < 2 or step != 1 or both == 0:
        return
    pads: list[int] = list(layer.args[4])  # type: ignore[arg-type]
    pads[dim - 2] += both
    tight = call(layer, layer.target, *layer.args[:4], pads, *layer.args[5:], like=layer)
    substitute(crop, part(crop, tight, dim, start - both, end - both))


def _convolution_pads(layer: fx.Node, value: object, extra: list[int]) -> bool:
    return value == 0 and not layer.args[6]


def _average_pads(layer: fx.Node, value: object, extra: list[int]) -> bool:
    """An average counts its padding only if told so, and may not have rounded its size up."""
    return value == 0 and bool(layer.args[5]) and not layer.args[4] and _fits(layer, extra)


def _maximum_pads(layer: fx.Node, value: object, extra: list[int]) -> bool:
    return value == -math.inf and not layer.args[5] and _fits(layer, extra)


def _fits(layer: fx.Node, extra: list[int]) -> bool:
    window: list[int] = layer.args[1]  # type: ignore[assignment]
    own: list[int] = layer.args[3]  # type: ignore[assignment]
    return all(2 * (o + e) <= w for w, o, e in zip(window, own, extra, strict=True))


_PADS_WITH: dict[object, Callable[[fx.Node, object, list[int]], bool]] = {
    aten.convolution.default: _convolution_pads,
    aten.avg_pool2d.default: _average_pads,
    aten.max_pool2d.default: _maximum_pads,
}
