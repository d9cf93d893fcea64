"""Constants in the form that what was imposed on them allows: dense, lookup tables, integers, sparse, and their joint forms.

Every form is lossless: what comes back is what the graph computes with, in the compute dtype. Newer forms need newer versions of
iOS; which, the target file says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgekit.constraints import Codebook, Mask
from edgekit.tensors import Grid
from edgekit_converters.coreml.emission import Emission, Result
from edgekit_converters.coreml.program import Narrow
from edgekit_converters.coreml.values import Constant, Variable, rounded

GROUPED_FORMS = "grouped palettes"
"""The feature that came with the newer operators for all compressed constants."""


def write_constant(emission: Emission, constant: Constant) -> Variable:
    """Write a constant in its smallest form."""
    codebook = next((c for c in constant.constraints if isinstance(c, Codebook)), None)
    mask = next((c for c in constant.constraints if isinstance(c, Mask)), None)
    if constant.grid is not None:
        return _integers(emission, constant, mask)
    if codebook is not None:
        return _palette(emission, constant, codebook, mask)
    if mask is not None and mask.sparsity > _worth_masking(16 if emission.compute == "float16" else 32):
        return _sparse(emission, constant)
    return _dense(emission, constant)


def _worth_masking(bits: int) -> float:
    """Share of zeros above which a bit mask and the rest take less room than all values of so many bits."""
    return 1 / bits


def _dense(emission: Emission, constant: Constant) -> Variable:
    dtype = emission.written_dtype(constant.dtype)
    if constant.half and dtype == "float32":
        return _cast(emission, constant)
    values = rounded(constant.data, dtype) if dtype.startswith("float") else constant.data.astype(dtype)
    return _written(emission, constant, "const", values, val=values)


def _cast(emission: Emission, constant: Constant) -> Variable:
    """Stored in half precision, read as float32."""
    half = rounded(constant.data, "float16")
    return _written(emission, constant, "constexpr_cast", half.astype(np.float32), source_val=half, output_dtype="fp32")


def _written(emission: Emission, constant: Constant, kind: str, values: np.ndarray, **arguments: Any) -> Variable:
    """Write the operation that ends in the constant, and record what it must come to."""
    name = emission.unused(constant.label) if constant.label else emission.fresh("constant")
    emission.add_weight(name, constant, values)
    return emission.op(kind, Result(values.shape, values.dtype.name, name), **arguments)


# ---- palettes


def _palette(emission: Emission, constant: Constant, codebook: Codebook, mask: Mask | None) -> Variable:
    tensor = torch.from_numpy(constant.data)
    indices = codebook.assignments(tensor).numpy()
    tables = rounded(codebook.tables.numpy(), emission.compute)
    _need_palette(emission, constant, codebook)
    values = _looked_up(tables, indices, codebook)
    if codebook.sparse:
        values = np.where(constant.data != 0, values, np.zeros((), values.dtype))
        emission.platform.need("sparse palettes", module=constant.module)
        return _sparse_palette(emission, constant, codebook, values=values, indices=indices, tables=tables)
    if not emission.platform.has(GROUPED_FORMS):
        packed = pack_bits(indices.ravel(), codebook.bits)
        shape = np.array(values.shape, np.uint32)
        return _written(emission, constant, "constexpr_lut_to_dense", values, indices=packed, lut=tables[0], shape=shape)
    lut = tables.reshape(*_table_shape(values.ndim, codebook), tables.shape[1], 1)
    index = Narrow(indices, f"uint{codebook.bits}")
    return _written(emission, constant, "constexpr_lut_to_dense", values, indices=index, lut=lut)


def _need_palette(emission: Emission, constant: Constant, codebook: Codebook) -> None:
    emission.platform.need("palettes", module=constant.module)
    if codebook.bits == 3:
        emission.platform.need("3-bit palettes", module=constant.module)
    if codebook.groups > 1:
        emission.platform.need("grouped palettes", module=constant.module)


def _looked_up(tables: np.ndarray, indices: np.ndarray, codebook: Codebook) -> np.ndarray:
    moved = np.moveaxis(indices, codebook.axis, 0)
    groups = moved.reshape(codebook.groups, -1)
    values = np.take_along_axis(tables, groups.astype(np.int64), 1).reshape(moved.shape)
    return np.ascontiguousarray(np.moveaxis(values, 0, codebook.axis))


def _table_shape(rank: int, codebook: Codebook) -> list[int]:
    shape = [1] * rank
    shape[codebook.axis] = codebook.groups
    return shape


def _sparse_palette(
    emission: Emission, constant: Constant, codebook: Codebook, *, values: np.ndarray, indices: np.ndarray, tables: np.ndarray
) -> Variable:
    kept = values != 0
    lut = tables.reshape(*_table_shape(values.ndim, codebook), tables.shape[1], 1)
    mask, data = emission.ops(
        "constexpr_lut_to_sparse",
        [(values.shape, "uint1"), ((int(kept.sum()),), emission.compute)],
        indices_mask=Narrow(kept.astype(np.uint8), "uint1"),
        indices_nonzero_data=Narrow(indices[kept], f"uint{codebook.bits}"),
        lut=lut,
    )
    return _written(emission, constant, "constexpr_sparse_to_dense", values, nonzero_data=data, mask=mask)


# ---- zeros


def _sparse(emission: Emission, constant: Constant) -> Variable:
    emission.platform.need("sparse weights", module=constant.module)
    values = rounded(constant.data, emission.compute)
    kept = values != 0
    values = np.where(kept, values, np.zeros((), values.dtype))  # a negative zero would come back positive
    if emission.platform.has(GROUPED_FORMS):
        mask = Narrow(kept.astype(np.uint8), "uint1")
        return _written(emission, constant, "constexpr_sparse_to_dense", values, nonzero_data=values[kept], mask=mask)
    packed, shape = np.packbits(kept.ravel(), bitorder="little"), np.array(values.shape, np.uint32)
    return _written(emission, constant, "constexpr_sparse_to_dense", values, nonzero_data=values[kept], mask=packed, shape=shape)


# ---- integers


def _integers(emission: Emission, constant: Constant, mask: Mask | None) -> Variable:
    """Integers of the constant's grid; `mask` makes them sparse where that pays."""
    assert constant.grid is not None
    grid = constant.grid
    steps = integers(constant)
    scale, zero = _laid(constant, grid)
    scale, zero = scale.astype(emission.compute), zero.astype(steps.dtype)
    offsets = _spread(zero.astype(np.int32), steps.shape)
    values = (steps.astype(np.int32) - offsets).astype(emission.compute) * _spread(scale, steps.shape)
    narrow = grid.dtype in ("int4", "uint4")
    emission.platform.need("int4 weights" if narrow else "int8 weights", module=constant.module)
    sparse = mask is not None and not zero.any() and mask.sparsity > _worth_masking(4 if narrow else 8)
    if sparse and emission.platform.has("sparse int8 weights"):
        return _sparse_integers(emission, constant, steps, scale, values)
    if not emission.platform.has(GROUPED_FORMS):
        return _affine(emission, constant, steps=steps, scale=scale, zero=zero, values=values)
    offset = _stored(zero, grid) if zero.any() else None
    return _written(emission, constant, "constexpr_blockwise_shift_scale", values, data=_stored(steps, grid), scale=scale, offset=offset)


def integers(constant: Constant) -> np.ndarray:
    """The integers behind a constant that its fake-quantize node rounded: uint8 for unsigned grids, else int8."""
    assert constant.grid is not None
    scale, zero = _laid(constant, constant.grid)
    low, high = constant.limits
    steps = np.rint(constant.data / _spread(scale, constant.data.shape)) + _spread(zero, constant.data.shape)
    kept: np.ndarray = np.clip(steps, low, high).astype(np.uint8 if low >= 0 else np.int8)
    return kept


def _laid(constant: Constant, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Scales and zero points with the rank of the data."""
    rank = constant.data.ndim
    if constant.scales is not None:
        return constant.scales.astype(np.float32), np.zeros(constant.scales.shape, np.int32)
    shape = [1] * rank
    if grid.axis is not None:
        shape[grid.axis] = len(grid.scale)
    return np.array(grid.scale, np.float32).reshape(shape), np.array(grid.zero_point, np.int32).reshape(shape)


def _spread(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Each value repeated over its block of elements."""
    for axis, size in enumerate(shape):
        if values.shape[axis] not in (1, size):
            values = np.repeat(values, size // values.shape[axis], axis)
    return values


def _stored(steps: np.ndarray, grid: Grid) -> np.ndarray | Narrow:
    return Narrow(steps, grid.dtype) if grid.dtype in ("int4", "uint4") else steps


def _affine(
    emission: Emission, constant: Constant, *, steps: np.ndarray, scale: np.ndarray, zero: np.ndarray, values: np.ndarray
) -> Variable:
    """The form before iOS 18: a scale for the whole tensor or for each index of one axis."""
    assert constant.grid is not None
    axis = constant.grid.axis or 0
    flat, zeros = (a.reshape(()) if constant.grid.axis is None else a.ravel() for a in (scale, zero))
    if not zeros.any():
        zeros = zeros.ravel()[0]
    return _written(
        emission, constant, "constexpr_affine_dequantize", values, quantized_data=steps, zero_point=zeros, scale=flat, axis=np.int32(axis)
    )


def _sparse_integers(emission: Emission, constant: Constant, steps: np.ndarray, scale: np.ndarray, values: np.ndarray) -> Variable:
    assert constant.grid is not None
    kept = steps != 0
    mask, data = emission.ops(
        "constexpr_sparse_blockwise_shift_scale",
        [(steps.shape, "uint1"), ((int(kept.sum()),), emission.compute)],
        data_mask=Narrow(kept.astype(np.uint8), "uint1"),
        nonzero_data=_stored(steps[kept], constant.grid),
        scale=scale,
    )
    return _written(emission, constant, "constexpr_sparse_to_dense", values, nonzero_data=data, mask=mask)


def pack_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Small integers packed into bytes, lowest bits first; uint8."""
    spread = (values[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(spread.ravel().astype(np.uint8), bitorder="little")
