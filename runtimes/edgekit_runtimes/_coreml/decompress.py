"""Compressed constants and the values they stand for: one function for each ``constexpr`` operation, in numpy.

Arithmetic on scales happens in the scale's own type, as Core ML's documentation of each operation says, and is rounded once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgekit_runtimes._coreml.dtypes import unpack

Arrays = Mapping[str, np.ndarray]


def decompress(kind: str, inputs: Arrays) -> tuple[np.ndarray, ...]:
    """The results of a ``constexpr`` operation.

    Args:
        kind: ``constexpr_lut_to_dense``.
        inputs: Unpacked values by parameter.

    Raises:
        ValueError: An unknown operation, or values that contradict each other.
    """
    if kind not in _FORMS:
        raise ValueError(f"{kind} is a compressed form that is unknown here; known are {', '.join(_FORMS)}")
    try:
        return _FORMS[kind](inputs)
    except (KeyError, IndexError, TypeError, ZeroDivisionError) as error:
        missing = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{kind} cannot be decompressed: {missing}") from None


def _affine(inputs: Arrays) -> tuple[np.ndarray, ...]:
    """Affine (iOS 16): ``scale * (quantized_data - zero_point)``, scale and zero point single or along an axis."""
    data, scale = inputs["quantized_data"], inputs["scale"]
    axis, rank = int(inputs["axis"]), data.ndim
    along = [-1 if i == axis % rank else 1 for i in range(rank)]
    zero = inputs["zero_point"]
    return (_scaled(data, *(v.reshape(along) if v.ndim else v for v in (scale, zero))),)


def _blockwise(inputs: Arrays) -> tuple[np.ndarray, ...]:
    """Blockwise (iOS 18): ``scale * (data - offset)``; each scale serves a block, whose size is the ratio of the shapes."""
    data = inputs["data"]
    return (_scaled(data, *(None if v is None else _spread(v, data.shape) for v in (inputs["scale"], inputs.get("offset")))),)


def _lut(inputs: Arrays) -> tuple[np.ndarray, ...]:
    """A palette: iOS 16 packs the indices and has one table; iOS 18 has a table for each block, of single values or of vectors."""
    indices, lut = inputs["indices"], inputs["lut"]
    if "shape" in inputs:
        shape, bits = tuple(inputs["shape"].astype(int).tolist()), len(lut).bit_length() - 1
        if lut.ndim != 1 or 1 << bits != len(lut) or bits not in (1, 2, 4, 6, 8):
            raise ValueError(f"a table of {list(lut.shape)} values, and 2, 4, 16, 64 or 256 are possible")
        return (lut[unpack(indices, f"uint{bits}", int(np.prod(shape, dtype=np.int64)))].reshape(shape),)
    return (_dense(indices, lut, inputs.get("vector_axis")),)


def _dense(indices: np.ndarray, lut: np.ndarray, vector_axis: np.ndarray | None) -> np.ndarray:
    """Table entries in the place of their indices; vectors are laid along an axis, which becomes as much longer."""
    chosen, width = _looked_up(indices, lut), lut.shape[-1]
    if width == 1:
        return chosen[..., 0]
    if vector_axis is None:
        raise ValueError(f"tables of vectors of {width} and no axis to lay them along")
    axis = int(vector_axis) % indices.ndim
    shape = tuple(size * width if i == axis else size for i, size in enumerate(indices.shape))
    return np.moveaxis(chosen, -1, axis + 1).reshape(shape)


def _looked_up(indices: np.ndarray, lut: np.ndarray) -> np.ndarray:
    """Table entries of shape (*indices.shape, vector)."""
    groups = lut.shape[:-2]
    if lut.ndim != indices.ndim + 2 or any(n % g for n, g in zip(indices.shape, groups, strict=True)):
        raise ValueError(f"tables of shape {list(lut.shape)} for indices of shape {list(indices.shape)}")
    table = [(np.arange(n) // (n // g)).reshape([-1 if i == axis else 1 for i in range(indices.ndim)])
             for axis, (n, g) in enumerate(zip(indices.shape, groups, strict=True))]  # fmt: skip
    found: np.ndarray = lut[(*table, indices.astype(np.intp))]
    return found


def _sparse(inputs: Arrays) -> tuple[np.ndarray, ...]:
    """Zeros but where the mask is set; iOS 16 packs the mask."""
    mask, values = inputs["mask"], inputs["nonzero_data"]
    if "shape" in inputs:
        shape = tuple(inputs["shape"].astype(int).tolist())
        mask = unpack(mask, "uint1", int(np.prod(shape, dtype=np.int64))).reshape(shape)
    dense = np.zeros(mask.shape, values.dtype)
    dense[_mask(mask, values)] = values
    return (dense,)


def _lut_to_sparse(inputs: Arrays) -> tuple[np.ndarray, ...]:
    """The nonzero values as indices of a palette; gives the mask and the values of a sparse constant."""
    mask, indices, lut = inputs["indices_mask"], inputs["indices_nonzero_data"], inputs["lut"]
    full = np.zeros(mask.shape, np.uint8)
    full[_mask(mask, indices)] = indices
    dense = _dense(full, lut, inputs.get("vector_axis"))
    whole = mask if dense.shape == mask.shape else np.repeat(mask, lut.shape[-1], int(inputs["vector_axis"]) % mask.ndim)
    return whole, dense[whole.astype(bool)]


def _sparse_blockwise(inputs: Arrays) -> tuple[np.ndarray, ...]:
    """The nonzero values on an integer grid; gives the mask and the values of a sparse constant."""
    mask, data = inputs["data_mask"], inputs["nonzero_data"]
    chosen = _mask(mask, data)
    scale, offset = (None if v is None else _spread(v, mask.shape)[chosen] for v in (inputs["scale"], inputs.get("offset")))
    return mask, _scaled(data, scale, offset)


def _cast(inputs: Arrays) -> tuple[np.ndarray, ...]:
    """Stored in half precision, used in single."""
    dtype = str(inputs["output_dtype"].item())
    if dtype not in ("fp16", "fp32"):
        raise ValueError(f"a constant cast to {dtype}, where fp16 and fp32 are possible")
    return (inputs["source_val"].astype(np.float16 if dtype == "fp16" else np.float32),)


_FORMS: dict[str, Callable[[Arrays], tuple[np.ndarray, ...]]] = {
    "constexpr_affine_dequantize": _affine,
    "constexpr_blockwise_shift_scale": _blockwise,
    "constexpr_lut_to_dense": _lut,
    "constexpr_lut_to_sparse": _lut_to_sparse,
    "constexpr_sparse_to_dense": _sparse,
    "constexpr_sparse_blockwise_shift_scale": _sparse_blockwise,
    "constexpr_cast": _cast,
}


def _scaled(data: np.ndarray, scale: Any, offset: Any) -> np.ndarray:
    """``scale * (data - offset)``, exact in double precision and rounded once to the scale's type."""
    wide = data.astype(np.float64) if offset is None else data.astype(np.float64) - offset.astype(np.float64)
    with np.errstate(over="ignore"):
        return (wide * scale.astype(np.float64)).astype(scale.dtype)  # type: ignore[no-any-return]


def _spread(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Repeat each value over its block."""
    if values.ndim != len(shape) or any(n % v for n, v in zip(shape, values.shape, strict=True)):
        raise ValueError(f"scales of shape {list(values.shape)} for data of shape {list(shape)}")
    for axis, (size, count) in enumerate(zip(shape, values.shape, strict=True)):
        values = np.repeat(values, size // count, axis)
    return values


def _mask(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    chosen: np.ndarray = mask.astype(bool)
    if values.shape != (int(chosen.sum()),):
        raise ValueError(f"a mask of {int(chosen.sum()):,} elements and values of shape {list(values.shape)}")
    return chosen
