"""Spell every convolution ``convolution.default`` with all nine arguments, one number a spatial dimension.

Given: ``F.conv2d(x, w, b, stride=2, padding="same")``, ``F.conv_transpose2d(x, w, b, 2)``.
Result: ``convolution(x, w, b, [2, 2], [1, 1], [1, 1], False, [0, 0], 1)``, the same with ``True``. A "same" padding
    that is not symmetric becomes a ``pad`` before it.
"""

from __future__ import annotations

from torch import fx

from edgekit.canonicalize.pooling import padded, pair
from edgekit.canonicalize.rewriting import Rule, apply_rules, arguments, overloads, reshaped
from edgekit.graph import aten, call, shape_of


def convolutions(graph: fx.Graph) -> None:
    """Merge the spellings of convolution."""
    apply_rules(graph, _RULES)


def _convolve(node: fx.Node, x: fx.Node, *rest: object) -> fx.Node:
    """A convolution of a batch; a single image gets a batch of one."""
    rank = len(shape_of(rest[0]))  # type: ignore[arg-type]
    batched = reshaped(node, x, [1] * (rank - len(shape_of(x))) + list(shape_of(x)))
    return reshaped(node, call(node, aten.convolution.default, batched, *rest), shape_of(node))


def _direct(node: fx.Node) -> fx.Node:
    x, weight, bias, stride, padding, dilation, groups = arguments(node)
    rank = len(shape_of(weight)) - 2
    step, spread = pair(stride, rank), pair(dilation, rank)
    return _convolve(node, x, weight, bias, step, pair(padding, rank), spread, False, [0] * rank, groups)


def _named_padding(node: fx.Node) -> fx.Node:
    x, weight, bias, stride, padding, dilation, groups = arguments(node)
    kernel = shape_of(weight)[2:]
    step, spread = pair(stride, len(kernel)), pair(dilation, len(kernel))
    total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(spread, kernel, strict=True)]
    pads = [t // 2 for t in total]
    if any(t % 2 for t in total):
        both = [[t // 2, t - t // 2] for t in reversed(total)]
        x, pads = padded(node, x, [p for ends in both for p in ends]), [0] * len(kernel)
    return _convolve(node, x, weight, bias, step, pads, spread, False, [0] * len(kernel), groups)


def _transposed(node: fx.Node) -> fx.Node:
    x, weight, bias, stride, padding, extra, groups, dilation = arguments(node)
    rank = len(shape_of(weight)) - 2
    step, pads, spread, beyond = (pair(v, rank) for v in (stride, padding, dilation, extra))
    return _convolve(node, x, weight, bias, step, pads, spread, True, beyond, groups)


def _general(node: fx.Node) -> fx.Node:
    x, weight, bias, stride, padding, dilation, transposed, extra, groups = arguments(node)[:9]
    rank = len(shape_of(weight)) - 2
    step, pads, spread, beyond = (pair(v, rank) for v in (stride, padding, dilation, extra))
    return _convolve(node, x, weight, bias, step, pads, spread, transposed, beyond, groups)


_RULES: dict[object, Rule] = {
    **dict.fromkeys(overloads("conv1d conv2d conv3d"), _direct),
    **dict.fromkeys(overloads("conv1d.padding conv2d.padding conv3d.padding"), _named_padding),
    **dict.fromkeys(overloads("conv_transpose1d conv_transpose2d.input conv_transpose3d.input"), _transposed),
    **dict.fromkeys(overloads("convolution _convolution"), _general),
}
