"""The real constants of what was emitted, as reading the file back must give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgekit.plugins import EmittedWeight
from edgekit_converters._integers import dequantized
from edgekit_converters.onnx.emission import MODULE, Emission, Stored

_REALS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


def constants(emission: Emission, nodes: Iterable[ir.Node]) -> Iterator[EmittedWeight]:
    """Each that a node reads, once; of one in compressed form, what it is turned into."""
    seen: set[str] = set()
    for node in nodes:
        for value, array in _read(emission, node):
            name = str(value.name)
            if name not in seen:
                seen.add(name)
                yield EmittedWeight(name, node.metadata_props.get(MODULE, ""), array)


def _read(emission: Emission, node: ir.Node) -> Iterator[tuple[ir.Value, np.ndarray]]:
    (result, *_), rounding = node.outputs, node.op_type in ("QuantizeLinear", "DequantizeLinear")
    if result in emission.stored:
        yield result, _reals(emission.stored[result], np.dtype(np.float16 if result.dtype == ir.DataType.FLOAT16 else np.float32))
    for value in () if rounding or result in emission.stored else node.inputs:
        if value is not None and value.const_value is not None and value.dtype in _REALS:
            yield value, value.const_value.numpy()


def _reals(constant: Stored, dtype: np.dtype) -> np.ndarray:
    """What the integers come to with scales in the file's dtype."""
    if constant.grid is None:
        return constant.array.astype(dtype)
    if constant.scales is not None:
        block = constant.grid.block
        scales = np.repeat(constant.scales.astype(dtype).astype(np.float32), block or 1, constant.block_axis)
        return (constant.array.astype(np.float32) * scales).astype(dtype)
    own = tuple(np.asarray(constant.grid.scale, np.float32).astype(dtype).astype(float).tolist())
    return dequantized(constant.array, replace(constant.grid, scale=own)).astype(dtype)
