"""A window that reaches over the edges of a small image, without the rows and columns of it that only ever meet padding.

Where a network ends in images of a pixel or two, most of a 3×3 kernel multiplies zeros. Cut off, the sums have the same terms, the
file has fewer weights, and a pool of one pixel is that pixel: MNN's average pool in int8 divides by zero there.

Given:  avg_pool2d(x, 3×3, padding 1, count_include_pad False); convolution(x, w 3×3, padding 1) of an image 1×1
Result: x; convolution(x, w[:, :, 1:2, 1:2], padding 0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, constant_value, constraints_of, is_call, op_name, shape_of


@dataclass(frozen=True)
class _Side:
    """A window along one dimension.

    Attributes:
        size: Of the image.
        result: How many windows there are.
        kernel: Taps.
        stride: Of the windows.
        padding: In front and behind.
        dilation: Between taps.
    """

    size: int
    result: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def taps(self) -> tuple[int, int]:
        """The first and one past the last tap to keep: those that meet the image, and others that padding alike on both sides needs."""
        places = range(-self.padding, (self.result - 1) * self.stride - self.padding + 1, self.stride)
        met = [tap for tap in range(self.kernel) if any(0 <= place + tap * self.dilation < self.size for place in places)]
        for first in range(min(met, default=0), -1, -1):
            for last in range(max(met, default=self.kernel - 1), self.kernel):
                if self._cropped(first, last).fits:
                    return first, last + 1
        return 0, self.kernel

    def _cropped(self, first: int, last: int) -> _Side:
        padding = self.padding - first * self.dilation
        return _Side(self.size, self.result, last - first + 1, self.stride, padding, self.dilation)

    @property
    def fits(self) -> bool:
        """Whether operators that pad alike on both sides and round down give as many windows."""
        rest = self.size + 2 * self.padding - (self.kernel - 1) * self.dilation - 1
        return self.padding >= 0 and rest >= 0 and rest // self.stride + 1 == self.result


def _crop_windows(node: fx.Node) -> fx.Node | None:
    pool = op_name(node) != "convolution"
    if not (_pool_crops(node) if pool else _convolution_crops(node)):
        return None
    sides = _sides(node)
    taps = [side.taps for side in sides]
    if all(taps == (0, side.kernel) for taps, side in zip(taps, sides, strict=True)):
        return None
    kernel = [last - first for first, last in taps]
    padding = [side.padding - first * side.dilation for side, (first, _) in zip(sides, taps, strict=True)]
    return _pool(node, kernel, padding) if pool else _convolution(node, taps, padding)


def _convolution_crops(node: fx.Node) -> bool:
    weight = node.args[1]
    return not argument(node, "transposed") and constant_value(weight) is not None and not constraints_of(weight)


def _pool_crops(node: fx.Node) -> bool:
    """Whether padding does not count in the result."""
    counted = is_call(node, aten.avg_pool2d.default) and argument(node, "count_include_pad") and any(argument(node, "padding"))
    return not argument(node, "ceil_mode") and not counted and len(argument(node, "stride")) == 2


def _sides(node: fx.Node) -> list[_Side]:
    image: tuple[int, ...] = shape_of(node.args[0])[2:]  # type: ignore[arg-type]
    rank = len(image)
    kernel = argument(node, "kernel_size") if op_name(node) != "convolution" else shape_of(node.args[1])[2:]  # type: ignore[arg-type]
    dilation = [1] * rank if op_name(node) == "avg_pool2d" else argument(node, "dilation")
    given = [_each(values, rank) for values in (kernel, argument(node, "stride"), argument(node, "padding"), dilation)]
    return [_Side(*numbers) for numbers in zip(image, shape_of(node)[2:], *given, strict=True)]


def _each(numbers: Sequence[int], rank: int) -> list[int]:
    return list(numbers) * rank if len(numbers) == 1 else list(numbers)


def _convolution(node: fx.Node, taps: list[tuple[int, int]], padding: list[int]) -> fx.Node:
    pen, weight = Pen(node), constant_value(node.args[1])
    assert weight is not None
    kept = weight[(slice(None), slice(None), *(slice(first, last) for first, last in taps))]
    return pen(aten.convolution.default, node.args[0], pen.constant(kept, "cropped"), *node.args[2:4], padding, *node.args[5:])


def _pool(node: fx.Node, kernel: list[int], padding: list[int]) -> fx.Node:
    x: fx.Node = node.args[0]  # type: ignore[assignment]
    if set(kernel) == {1} and shape_of(x) == shape_of(node):
        return x
    return Pen(node)(node.target, x, kernel, argument(node, "stride"), padding, *node.args[4:])


REWRITE = Rewrite((aten.convolution.default, aten.avg_pool2d.default, aten.max_pool2d.default), _crop_windows)
