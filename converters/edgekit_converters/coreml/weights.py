"""Constants in the form that what was imposed on them allows: dense, sparse, lookup tables (`palettes`), integers (`integers`).

Every form is lossless: what comes back is what the graph computes with, in the compute dtype. Newer forms need newer versions of
iOS; which, the target file says.
"""

from __future__ import annotations

import numpy as np

from edgekit.constraints import Codebook, Mask
from edgekit_converters.coreml.emission import Emission
from edgekit_converters.coreml.integers import GROUPED_FORMS, worth_masking, write_integers
from edgekit_converters.coreml.palettes import find_palette, write_palette
from edgekit_converters.coreml.program import Narrow
from edgekit_converters.coreml.values import Constant, Variable, rounded


def write_constant(emission: Emission, constant: Constant) -> Variable:
    """Write a constant in its smallest form."""
    codebook = next((c for c in constant.constraints if isinstance(c, Codebook)), None)
    mask = next((c for c in constant.constraints if isinstance(c, Mask)), None)
    palette = None if codebook is None else find_palette(emission, constant, codebook)
    if palette is not None:
        return write_palette(emission, constant, palette)
    if constant.grid is not None:
        return write_integers(emission, constant, mask)
    if mask is not None and mask.sparsity > worth_masking(16 if emission.compute == "float16" else 32):
        return _sparse(emission, constant)
    return _dense(emission, constant)


def _dense(emission: Emission, constant: Constant) -> Variable:
    dtype = emission.written_dtype(constant.dtype)
    if constant.half and dtype == "float32":
        return _cast(emission, constant)
    values = rounded(constant.data, dtype) if dtype.startswith("float") else constant.data.astype(dtype)
    return emission.constant_op(constant, "const", values, val=values)


def _cast(emission: Emission, constant: Constant) -> Variable:
    """Stored in half precision, read as float32."""
    half = rounded(constant.data, "float16")
    return emission.constant_op(constant, "constexpr_cast", half.astype(np.float32), source_val=half, output_dtype="fp32")


def _sparse(emission: Emission, constant: Constant) -> Variable:
    emission.platform.need("sparse weights", module=constant.module)
    values = rounded(constant.data, emission.compute)
    kept = values != 0
    values = np.where(kept, values, np.zeros((), values.dtype))  # a negative zero would come back positive
    if emission.platform.has(GROUPED_FORMS):
        mask = Narrow(kept.astype(np.uint8), "uint1")
        return emission.constant_op(constant, "constexpr_sparse_to_dense", values, nonzero_data=values[kept], mask=mask)
    packed, shape = np.packbits(kept.ravel(), bitorder="little"), np.array(values.shape, np.uint32)
    return emission.constant_op(constant, "constexpr_sparse_to_dense", values, nonzero_data=values[kept], mask=packed, shape=shape)
