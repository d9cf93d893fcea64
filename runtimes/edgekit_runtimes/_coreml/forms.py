"""In what form a constant is stored, in words: ``4-bit palettes, 8 along axis 0``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from edgekit_runtimes._coreml.constants import Constant
from edgekit_runtimes._coreml.dtypes import LONG
from edgekit_runtimes._coreml.program import Literal

Part = Constant | Literal


def form(constant: Constant) -> str:
    """How a compressed constant is stored; nothing for one that is stored as it is."""
    words = _WORDS.get(constant.operation.kind)
    return words(constant.parts) if words else ""


def bits(constant: Constant) -> float:
    """Stored bits an element, tables, scales and masks included."""
    return 8 * constant.bytes / max(constant.array.size, 1)


def _affine(parts: Mapping[str, Part]) -> str:
    scale = parts["scale"].array
    return f"{_dtype(parts['quantized_data'])}, " + (
        f"{scale.size} scales on axis {int(parts['axis'].array)}" if scale.size > 1 else "one scale"
    )


def _blockwise(parts: Mapping[str, Part]) -> str:
    data, shape = (
        (parts["nonzero_data"], parts["data_mask"].array.shape) if "data_mask" in parts else (parts["data"], parts["data"].array.shape)
    )
    zeros = ", with zero points" if "offset" in parts else ""
    return f"{_dtype(data)}, {_blocks(shape, parts['scale'].array.shape)}{zeros}"


def _sparse(parts: Mapping[str, Part]) -> str:
    mask, values = parts["mask"], parts["nonzero_data"]
    size = math.prod(parts["shape"].array.tolist()) if "shape" in parts else mask.array.size
    inner = form(values) if isinstance(values, Constant) else ""
    return f"sparse, {values.array.size / max(size, 1):.0%} stored as {inner or _dtype(values)}"


def _palette(parts: Mapping[str, Part]) -> str:
    lut = parts["lut"].array
    if "shape" in parts:
        return f"{len(lut).bit_length() - 1}-bit palette"
    width = lut.shape[-2].bit_length() - 1
    vector = f" of vectors of {lut.shape[-1]}" if lut.shape[-1] > 1 else ""
    groups = [(axis, count) for axis, count in enumerate(lut.shape[:-2]) if count > 1]
    if not groups:
        return f"{width}-bit palette{vector}"
    where = ", ".join(f"{count} along axis {axis}" for axis, count in groups)
    return f"{width}-bit palettes{vector}, {where}"


def _blocks(shape: tuple[int, ...], scales: tuple[int, ...]) -> str:
    if math.prod(scales) == 1:
        return "one scale"
    sizes = [(axis, size // count) for axis, (size, count) in enumerate(zip(shape, scales, strict=True)) if count > 1]
    if all(size == 1 for _, size in sizes):
        return f"{math.prod(scales)} scales on axis {', '.join(str(axis) for axis, _ in sizes)}"
    blocks = ", ".join(f"{size} on axis {axis}" for axis, size in sizes if size > 1)
    return f"{math.prod(scales)} scales, blocks of {blocks}"


def _dtype(part: Part) -> str:
    name = part.port.dtype if isinstance(part, Constant) else part.dtype
    return LONG.get(name, name)


_WORDS: dict[str, Callable[[Mapping[str, Part]], str]] = {
    "constexpr_affine_dequantize": _affine,
    "constexpr_blockwise_shift_scale": _blockwise,
    "constexpr_sparse_blockwise_shift_scale": _blockwise,
    "constexpr_lut_to_dense": _palette,
    "constexpr_lut_to_sparse": _palette,
    "constexpr_sparse_to_dense": _sparse,
    "constexpr_cast": lambda parts: f"{_dtype(parts['source_val'])}, cast",
}
