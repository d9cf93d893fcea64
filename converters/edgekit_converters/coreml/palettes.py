"""Constants as tables and indices (palettes): of real numbers, or of the integers of a grid, dense or beside a mask of zeros."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from edgekit.constraints import Codebook
from edgekit_converters.coreml.emission import Emission, Result
from edgekit_converters.coreml.integers import GROUPED_FORMS, integers, laid
from edgekit_converters.coreml.program import Narrow
from edgekit_converters.coreml.values import Constant, Variable, rounded


@dataclass(frozen=True)
class Palette:
    """A weight as indices into tables.

    Attributes:
        bits: Width of an index.
        axis: The channel axis whose groups have a table each.
        indices: uint8, of the weight's shape.
        tables: Shape (groups, 2**bits), in the compute dtype.
        zeros: Which elements are zero, beside the tables; None where none may be.
        steps: The integers that the tables' entries are, int8, or None where they are on no grid.
        scales: Of the grid, shape (groups,), in the compute dtype.
    """

    bits: int
    axis: int
    indices: np.ndarray
    tables: np.ndarray
    zeros: np.ndarray | None = None
    steps: np.ndarray | None = None
    scales: np.ndarray | None = None

    @property
    def groups(self) -> int:
        """Number of tables."""
        return len(self.tables)

    @property
    def values(self) -> np.ndarray:
        """What reading it back gives."""
        moved = np.moveaxis(self.indices, self.axis, 0)
        chosen = np.take_along_axis(self.tables, moved.reshape(self.groups, -1).astype(np.int64), 1).reshape(moved.shape)
        whole = np.ascontiguousarray(np.moveaxis(chosen, 0, self.axis))
        return whole if self.zeros is None else np.where(self.zeros, np.zeros((), whole.dtype), whole)

    def laid(self, entries: np.ndarray) -> np.ndarray:
        """Entries of tables in the shape iOS 18 wants: the weight's rank with the groups on their axis, the entries, 1."""
        shape = [1] * self.indices.ndim
        shape[self.axis] = self.groups
        return entries.reshape(*shape, entries.shape[1], 1)


# ---- finding tables


def find_palette(emission: Emission, constant: Constant, codebook: Codebook) -> Palette | None:
    """The palette of a clustered weight.

    Returns:
        None where the weight was rounded to integers that the version of iOS, or any, has no tables for: a note says so.

    Raises:
        ConversionError: The version of iOS does not read such tables of real numbers.
    """
    if constant.grid is None:
        for feature in _features(codebook):
            emission.platform.need(feature, module=constant.module)
        indices = codebook.assignments(torch.from_numpy(constant.data)).numpy()
        tables = rounded(codebook.tables.numpy(), emission.compute)
        return Palette(codebook.bits, codebook.axis, indices, tables, constant.data == 0 if codebook.sparse else None)
    lacking = next((f for f in _features(codebook) if not emission.platform.has(f)), None)
    found = _of_integers(emission, constant, codebook) if lacking is None else None
    if found is None:
        why = f"{lacking} need a newer iOS" if lacking else "its channels have scales of their own"
        emission.note(f"palettes: the clustered weight of {constant.module!r} is stored as {constant.grid.dtype} without tables: {why}")
    return found


def _features(codebook: Codebook) -> list[str]:
    """What a version of iOS must read."""
    wanted = {"3-bit palettes": codebook.bits == 3, "grouped palettes": codebook.groups > 1, "sparse palettes": codebook.sparse}
    return ["palettes", *(feature for feature, needed in wanted.items() if needed)]


def _of_integers(emission: Emission, constant: Constant, codebook: Codebook) -> Palette | None:
    """The tables of integers that the codebook's became by rounding, if all channels of a table share a scale."""
    scales = _group_scales(constant, codebook)
    if scales is None:
        return None
    steps = integers(constant)
    groups = np.moveaxis(steps, codebook.axis, 0).reshape(codebook.groups, -1)
    entries = np.zeros((codebook.groups, 2**codebook.bits), np.int8)
    indices = np.zeros(groups.shape, np.uint8)
    for row, (values, table) in enumerate(zip(groups, entries, strict=True)):
        known = np.unique(values[values != 0] if codebook.sparse else values)
        if len(known) > len(table):
            return None
        table[: len(known)] = known
        table[len(known) :] = known[-1] if len(known) else 0
        indices[row] = np.searchsorted(known, values).clip(0, max(len(known) - 1, 0))
    scales = scales.astype(emission.compute)
    moved = np.moveaxis(steps, codebook.axis, 0).shape
    laid_out = np.ascontiguousarray(np.moveaxis(indices.reshape(moved), 0, codebook.axis))
    zeros = steps == 0 if codebook.sparse else None
    return Palette(codebook.bits, codebook.axis, laid_out, entries.astype(emission.compute) * scales[:, None], zeros, entries, scales)


def _group_scales(constant: Constant, codebook: Codebook) -> np.ndarray | None:
    """The one scale of each group of channels, or None: there is none, or zero points, which a shared table has no place for."""
    assert constant.grid is not None
    scales, zeros = laid(constant, constant.grid)
    if zeros.any() or constant.limits[0] >= 0 or constant.scales is not None:
        return None
    along = np.moveaxis(np.broadcast_to(scales, constant.shape), codebook.axis, 0).reshape(codebook.groups, -1)
    return along[:, 0] if (along == along[:, :1]).all() else None


# ---- writing them


def write_palette(emission: Emission, constant: Constant, palette: Palette) -> Variable:
    """Write a constant as tables and indices."""
    values = palette.values
    if not emission.platform.has(GROUPED_FORMS):
        packed, shape = pack_bits(palette.indices.ravel(), palette.bits), np.array(values.shape, np.uint32)
        return emission.constant_op(constant, "constexpr_lut_to_dense", values, indices=packed, lut=palette.tables[0], shape=shape)
    lut = palette.laid(palette.tables) if palette.steps is None else _integer_tables(emission, palette)
    if palette.zeros is not None:
        return _sparse(emission, constant, palette, values, lut)
    indices = Narrow(palette.indices, f"uint{palette.bits}")
    return emission.constant_op(constant, "constexpr_lut_to_dense", values, indices=indices, lut=lut)


def _integer_tables(emission: Emission, palette: Palette) -> Variable:
    """Tables of int8, which kernels of integer models look weights up in."""
    assert palette.steps is not None and palette.scales is not None
    data = palette.laid(palette.steps)
    result = Result(data.shape, emission.compute)
    return emission.op("constexpr_blockwise_shift_scale", result, data=data, scale=palette.laid(palette.scales[:, None]))


def _sparse(emission: Emission, constant: Constant, palette: Palette, values: np.ndarray, lut: np.ndarray | Variable) -> Variable:
    kept = values != 0
    mask, data = emission.ops(
        "constexpr_lut_to_sparse",
        [(values.shape, "uint1"), ((int(kept.sum()),), emission.compute)],
        indices_mask=Narrow(kept.astype(np.uint8), "uint1"),
        indices_nonzero_data=Narrow(palette.indices[kept], f"uint{palette.bits}"),
        lut=lut,
    )
    return emission.constant_op(constant, "constexpr_sparse_to_dense", values, nonzero_data=data, mask=mask)


def pack_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Small integers packed into bytes, lowest bits first; uint8."""
    spread = (values[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(spread.ravel().astype(np.uint8), bitorder="little")
