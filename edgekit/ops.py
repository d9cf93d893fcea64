"""The operators edgekit adds to ATen: grids that ATen has no fake-quantize for, and a pixel shuffle in kernels' channel order.

The fake-quantize operators take and return float32 of the same shape and pass gradients straight through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("edgekit::fake_quantize_per_block", mutates_args=())
def fake_quantize_per_block(x: Tensor, scale: Tensor, block: int, low: int, high: int) -> Tensor:
    """Round `x` to a symmetric grid whose scale is shared by blocks of elements.

    Args:
        x: Weight, float32.
        scale: Of the rank of `x`; each size divides that of `x`, and each element serves that many: (rows, columns / block) for a
            matrix, (outputs, inputs / block, 1, 1) for the kernels of a convolution. float32.
        block: Input channels (axis 1) that share a scale.
        low: Smallest integer.
        high: Largest integer.
    """
    steps = spread(scale, x.shape)
    return (x / steps).round().clamp(low, high) * steps


def spread(scale: Tensor, shape: Sequence[int]) -> Tensor:
    """Scales of blocks, each repeated for the elements that it serves: of `shape`, whose sizes are multiples of the scales'."""
    for axis, size in enumerate(shape):
        if size != scale.shape[axis]:
            scale = scale.repeat_interleave(size // scale.shape[axis], axis)
    return scale


@torch.library.custom_op("edgekit::fake_quantize_dynamic", mutates_args=())
def fake_quantize_dynamic(x: Tensor) -> Tensor:
    """Round `x` to int8 with the symmetric scale of each row's own range, as hybrid kernels do at run time."""
    rows = x.reshape(x.shape[0], -1)
    scale = (rows.abs().amax(1, keepdim=True) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    return ((rows / scale).round() * scale).reshape(x.shape)


@torch.library.custom_op("edgekit::fake_half", mutates_args=())
def fake_half(x: Tensor) -> Tensor:
    """Round `x` to float16 and back: a constant that is stored in half precision."""
    return x.to(torch.float16).to(torch.float32)


@torch.library.custom_op("edgekit::depth_to_space", mutates_args=())
def depth_to_space(x: Tensor, block: int) -> Tensor:
    """Pixel shuffle whose input channel (i * block + j) * C + c becomes pixel (i, j) of output channel c.

    PyTorch's ``pixel_shuffle`` takes channel c * block² + i * block + j there; TFLite and ONNX (mode DCR) order as here.

    Args:
        x: Shape (N, block² C, H, W).
        block: Pixels along each side of a block.
    """
    n, channels, height, width = x.shape
    pixels = x.reshape(n, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    pixels = pixels.clone(memory_format=torch.contiguous_format)  # never a view of `x`, which an operator must not return
    return pixels.view(n, channels // block**2, height * block, width * block)


@depth_to_space.register_fake
def _(x: Tensor, block: int) -> Tensor:
    n, channels, height, width = x.shape
    return x.new_empty(n, channels // block**2, height * block, width * block)


def _keep_block(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
    ctx.block = inputs[1]


def _space_to_depth(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    n, channels, height, width = grad.shape
    block = ctx.block
    pixels = grad.reshape(n, channels, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return pixels.reshape(n, channels * block**2, height // block, width // block), None


depth_to_space.register_autograd(_space_to_depth, setup_context=_keep_block)


def _same(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


for _op, _constants in ((fake_quantize_per_block, 4), (fake_quantize_dynamic, 0), (fake_half, 0)):
    _op.register_fake(_same)
    _op.register_autograd(lambda ctx, grad, n=_constants: (grad, *[None] * n) if n else grad)
