"""How windows are padded: MIL's four ``pad_type``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgekit_runtimes._coreml.arguments import ints, unknown

TYPES = ("valid", "same", "same_lower", "custom")


def amounts(pad_type: str, pad: Any, sizes: Sequence[int], windows: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """What is added before and after each spatial dimension.

    Args:
        pad_type: ``valid`` nothing; ``same`` so that the result has ``ceil(size / stride)``, an odd element at the end;
            ``same_lower`` likewise with the odd element at the start; ``custom`` as `pad` says.
        pad: Before and after each dimension, flat.
        sizes: Of the input.
        windows: Of the kernel, dilation included.
        strides: Of the window.

    Raises:
        ValueError: Another type.
    """
    if pad_type == "valid":
        return [(0, 0)] * len(sizes)
    if pad_type == "custom":
        flat = ints(pad) if pad is not None else [0] * 2 * len(sizes)
        return list(zip(flat[::2], flat[1::2], strict=True))
    if pad_type not in TYPES:
        raise unknown("pad_type", pad_type, TYPES)
    totals = [
        max((-(-size // stride) - 1) * stride + window - size, 0) for size, window, stride in zip(sizes, windows, strides, strict=True)
    ]
    halves = [(t // 2, t - t // 2) for t in totals]
    return halves if pad_type == "same" else [(after, before) for before, after in halves]


def reversed_flat(pads: Sequence[tuple[int, int]]) -> list[int]:
    """As `torch.nn.functional.pad` takes them: last dimension first."""
    return [amount for pair in reversed(pads) for amount in pair]
