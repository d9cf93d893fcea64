"""Telling whether a tensor of rank 4 is an image, (N, C, H, W), and not, say, attention's (batch, heads, length, width)."""

from __future__ import annotations

from torch import fx

from edgekit.graph import aten, is_call

_UNARY = (
    aten.permute.default, aten.pad.default, aten.relu.default, aten.clamp.default, aten.hardswish.default, aten.max_pool2d.default,
    aten.avg_pool2d.default, aten.slice.Tensor,
)  # fmt: skip
_BINARY = (aten.add.Tensor, aten.mul.Tensor)
_FAR = 8
"""How many operators to look past."""


def is_image(node: fx.Node) -> bool:
    """Whether a convolution makes or reads `node`, perhaps past permutes, pads, pools, activations and additions."""
    return _made(node, _FAR) or _read(node, _FAR)


def _made(node: object, far: int) -> bool:
    if is_call(node, aten.convolution.default):
        return True
    if far and is_call(node, *_UNARY, *_BINARY):
        return any(_made(operand, far - 1) for operand in node.all_input_nodes)  # type: ignore[attr-defined]
    return False


def _read(node: fx.Node, far: int) -> bool:
    readers = [user for user in node.users if is_call(user, aten.convolution.default) and user.args[0] is node]
    return bool(readers) or (far > 0 and any(_read(user, far - 1) for user in node.users if is_call(user, *_UNARY)))
