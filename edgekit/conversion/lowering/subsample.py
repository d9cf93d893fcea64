"""Taking every n-th pixel of an image as a strided convolution with one-hot weights, together with new empty channels.

What the shortcut of a ResNet does where it has no weights ("option A", He et al. 2016). A strided slice leaves the fast kernels
and forces one grid on what is before and after; the convolution stays among them, is exact in integers too, and rounds to a grid
of its own.

Given:  pad?(slice?(slice(x, 2, 0, H, s)), 3, 0, W, t), channels) on an image
Result: convolution(x, one-hot, stride (s, t)), depthwise where no channels are added
"""

from __future__ import annotations

import torch
from torch import fx

from edgekit.conversion.lowering.images import is_image
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, dtype_of, is_call, shape_of


def _subsample(node: fx.Node) -> None:
    if not _steps(node) or any(_steps(user) for user in node.users):
        return  # no such slice, or not the last of them
    x, stride, last = node, [1, 1], node
    while (step := _steps(x)) and (x is node or len(x.users) == 1):
        stride[argument(x, "dim") - 2] *= step
        x = x.args[0]  # type: ignore[assignment]
    if not is_image(x):
        return
    before, after = 0, 0
    reader = next(iter(node.users)) if len(node.users) == 1 else None
    if reader is not None and (added := _added_channels(reader)) is not None:
        last, (before, after) = reader, added
    last.replace_all_uses_with(_convolution(last, x, stride, before, after))


def _steps(node: fx.Node) -> int:
    """The step of a slice that takes every n-th row or column of a whole image, else 0."""
    if not is_call(node, aten.slice.Tensor) or len(shape_of(node)) != 4 or not dtype_of(node).is_floating_point:
        return 0
    dim, step = argument(node, "dim"), argument(node, "step")
    have, want = shape_of(node.args[0]), shape_of(node)  # type: ignore[arg-type]
    whole = dim in (2, 3) and not argument(node, "start") and want[dim] == -(-have[dim] // step)
    return int(step) if whole and step > 1 else 0


def _added_channels(node: fx.Node) -> tuple[int, int] | None:
    """Zero channels a pad puts before and behind, if it pads nothing else."""
    if not is_call(node, aten.pad.default) or argument(node, "mode") != "constant" or argument(node, "value"):
        return None
    amounts = [*argument(node, "pad"), 0, 0, 0, 0, 0, 0, 0, 0][:8]
    before, after = amounts[4], amounts[5]
    others = any(amount for i, amount in enumerate(amounts) if i not in (4, 5))
    return None if others or min(before, after) < 0 else (before, after)


def _convolution(last: fx.Node, x: fx.Node, stride: list[int], before: int, after: int) -> fx.Node:
    pen, channels = Pen(last), shape_of(x)[1]
    depthwise = before == after == 0
    weight = torch.ones(channels, 1) if depthwise else torch.nn.functional.pad(torch.eye(channels), (0, 0, before, after))
    w, b = pen.constant(weight[:, :, None, None], "picks"), pen.constant(torch.zeros(len(weight)), "bias")
    groups = channels if depthwise else 1
    return pen(aten.convolution.default, x, w, b, stride, [0, 0], [1, 1], False, [0, 0], groups)


REWRITE = Rewrite((aten.slice.Tensor,), _subsample)
