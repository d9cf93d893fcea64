"""Spell pooling, resizing and padding two-dimensionally, with all arguments.

Given: ``F.max_pool1d(x, 4)``, ``F.adaptive_avg_pool2d(x, 1)``, ``F.avg_pool2d(x, x.shape[-2:])``, ``F.pad(x, (1, 1, 0, -1))``.
Result: ``max_pool2d`` between reshapes, ``mean.dim(x, [2, 3], True)`` twice, ``pad.default(x, [1, 1], "constant", 0.0)`` of
    a slice. Dimensions that a pad leaves alone are not listed.
"""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

from edgekit.canonicalize.indexing import part
from edgekit.canonicalize.rewriting import Rule, apply_rules, arguments, calls, overloads, reshaped, source
from edgekit.graph import argument, aten, call, shape_of, substitute


def pooling(graph: fx.Graph) -> None:
    """Merge the spellings of pooling, resizing and padding."""
    for node in calls(graph, overloads("max_pool2d_with_indices")):
        if all(user.target is operator.getitem and user.args[1] == 0 for user in node.users):
            pooled = _max_pool(node)
            for user in list(node.users):
                substitute(user, pooled)
    apply_rules(graph, _RULES)


def pair(values: int | list[int], rank: int = 2) -> list[int]:
    """One number a spatial dimension."""
    given = [values] if isinstance(values, int) else list(values)
    return given * rank if len(given) == 1 else given


def _image(node: fx.Node, x: fx.Node) -> fx.Node:
    """A batch of images: sequences get a height of 1, a single image a batch."""
    shape = shape_of(x)
    if "1d" in str(node.target):
        return reshaped(node, x, [*shape[:-1], 1, shape[-1]])
    return reshaped(node, x, [1] * (4 - len(shape)) + list(shape))


def _widen(node: fx.Node, values: int | list[int], neutral: int) -> list[int]:
    """Window numbers for two dimensions; those of a one-dimensional pool get a neutral height."""
    return [neutral, *pair(values, 1)] if "1d" in str(node.target) else pair(values)


def _avg_pool(node: fx.Node) -> fx.Node | None:
    x, kernel, stride, padding, ceil, count_pad, *rest = arguments(node)
    if rest and rest[0] is not None:
        return None
    image, window, pads = _image(node, x), _widen(node, kernel, 1), _widen(node, padding, 0)
    if pads == [0, 0] and window == list(shape_of(image)[2:]):
        pooled = call(node, aten.mean.dim, image, [2, 3], True)
    else:
        steps = _widen(node, stride or kernel, 1)
        pooled = call(node, aten.avg_pool2d.default, image, window, steps, pads, _needs_ceil(ceil, image, window, steps, pads), count_pad)
    return reshaped(node, pooled, shape_of(node))


def _max_pool(node: fx.Node) -> fx.Node:
    x, kernel, stride, padding, dilation, ceil = arguments(node)
    image, window = _image(node, x), _widen(node, kernel, 1)
    steps, pads = _widen(node, stride or kernel, 1), _widen(node, padding, 0)
    spread = _widen(node, dilation, 1)
    extent = [(w - 1) * d + 1 for w, d in zip(window, spread, strict=True)]
    rounded = _needs_ceil(ceil, image, extent, steps, pads)
    shape = node.meta["val"][0].shape if isinstance(node.meta["val"], tuple) else shape_of(node)
    return reshaped(node, call(node, aten.max_pool2d.default, image, window, steps, pads, spread, rounded), shape)


def _needs_ceil(ceil: bool, image: fx.Node, window: list[int], steps: list[int], pads: list[int]) -> bool:
    """Rounding up matters only where the windows do not divide the image."""
    sizes = zip(shape_of(image)[2:], window, steps, pads, strict=True)
    return ceil and any((size + 2 * pad - w) % step for size, w, step, pad in sizes)


def _adaptive(reduction: Any, pool: Any) -> Rule:
    """Global pooling is a reduction; windows that divide the image are an ordinary pool; others are left."""

    def rule(node: fx.Node) -> fx.Node | None:
        x: fx.Node
        x, sizes = arguments(node)
        output = shape_of(node)[-len(sizes) :]
        spatial = shape_of(x)[-len(sizes) :]
        rank = len(shape_of(x))
        if set(output) == {1}:
            return call(node, reduction, x, list(range(rank - len(sizes), rank)), True)
        if any(s % o for s, o in zip(spatial, output, strict=True)) or len(sizes) > 2:
            return None
        image = _image(node, x)
        window = _widen(node, [s // o for s, o in zip(spatial, output, strict=True)], 1)
        if window == [1, 1]:
            return x
        extra = [False, True] if pool is aten.avg_pool2d.default else [[1, 1], False]
        return reshaped(node, call(node, pool, image, window, window, [0, 0], *extra), shape_of(node))

    return rule


def _upsample(node: fx.Node) -> fx.Node | None:
    """Sizes are static; what is kept of scale factors is what they did to the sampling grid."""
    x = source(node)
    nearest = "nearest" in str(node.target)
    image, size = _image(node, x), shape_of(node)[2:]
    size = (1, *size) if "1d" in str(node.target) else size
    factors = [o / i for o, i in zip(size, shape_of(image)[2:], strict=True)]
    given = _given_factors(node)
    if given is not None and any(abs(g - f) > 1e-9 for g, f in zip(given, factors, strict=False)):
        return None
    if nearest:
        resized = call(node, aten.upsample_nearest2d.vec, image, list(size), None)
    else:
        resized = call(node, aten.upsample_bilinear2d.vec, image, list(size), argument(node, "align_corners"), None)
    return reshaped(node, resized, shape_of(node))


def _given_factors(node: fx.Node) -> list[float] | None:
    if not str(node.target).endswith(".vec"):
        return None
    factors = argument(node, "scale_factors")
    return None if factors is None or "1d" in str(node.target) else list(factors)


def _pad(node: fx.Node) -> fx.Node:
    x = source(node)
    pads = list(node.args[1])  # type: ignore[arg-type]
    name = node.target._schema.name  # type: ignore[union-attr]
    mode = "reflect" if "reflect" in name else "replicate" if "replic" in name else "constant"
    value: Any = 0.0
    if node.target is aten.pad.default:
        mode, value = argument(node, "mode"), argument(node, "value")
    elif node.target is aten.constant_pad_nd.default:
        value = argument(node, "value")
    return padded(node, x, pads, mode, float(value or 0))


def padded(before: fx.Node, x: fx.Node, pads: list[int], mode: str = "constant", value: float = 0.0) -> fx.Node:
    """A canonical pad: crops are slices, untouched leading dimensions are not listed, nothing is nothing."""
    rank = len(shape_of(x))
    for i in range(0, len(pads), 2):
        dim = rank - 1 - i // 2
        size = shape_of(x)[dim]
        x = part(before, x, dim, max(0, -pads[i]), size - max(0, -pads[i + 1]))
    pads = [max(0, p) for p in pads]
    while pads and pads[-2:] == [0, 0] and (mode == "constant" or not any(pads)):
        pads = pads[:-2]
    return call(before, aten.pad.default, x, pads, mode, value if mode == "constant" else None) if pads else x


_RULES: dict[object, Rule] = {
    **dict.fromkeys(overloads("avg_pool1d avg_pool2d"), _avg_pool),
    **dict.fromkeys(overloads("max_pool1d max_pool2d"), _max_pool),
    **dict.fromkeys(
        overloads("adaptive_avg_pool1d adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_avg_pool3d"),
        _adaptive(aten.mean.dim, aten.avg_pool2d.default),
    ),
    **dict.fromkeys(
        overloads("upsample_nearest1d.vec upsample_nearest2d.vec upsample_nearest2d upsample_bilinear2d.vec upsample_bilinear2d"), _upsample
    ),
    **dict.fromkeys(overloads("pad constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d"), _pad),
}
