"""Padding of sliding windows: TFLite knows VALID and SAME; everything else is a PAD operator before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import ai_edge_litert.schema_py_generated as schema
import numpy as np
import torch
from torch import fx

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.graph import argument, aten, grid_of, is_call
from edgekit_converters._windows import Window, zero_padding
from edgekit_converters.litert.emission import OP, Emission
from edgekit_converters.litert.values import Value

SAME, VALID = schema.Padding.SAME, schema.Padding.VALID


def scheme(windows: Sequence[Window]) -> int | None:
    """SAME or VALID if one of them places all `windows`, else None."""
    if all(w.valid for w in windows):
        return int(VALID)
    return int(SAME) if all(w.same for w in windows) else None


def unpadded(emission: Emission, operand: fx.Node) -> tuple[Value, list[tuple[int, int]]]:
    """The value before all zero padding on the way to `operand`, and that padding for each of its dimensions.

    Looks through permutes, and through fake-quantize nodes that keep the grid or leave the rounding to run time. The PAD operators
    passed over are dropped from the file if nobody else needs them.
    """
    value = emission.value(operand)
    pads, dims, node = [(0, 0)] * value.rank, list(range(value.rank)), operand
    best = value, pads
    while True:
        if _keeps_grid(emission, node, value):
            node = node.args[0]  # type: ignore[assignment]
        elif is_call(node, aten.permute.default):
            order = [d % value.rank for d in argument(node, "dims")]
            dims, node = [order[d] for d in dims], node.args[0]  # type: ignore[assignment]
        elif (amounts := zero_padding(node)) is not None:
            pads = [(b + amounts[d][0], a + amounts[d][1]) for (b, a), d in zip(pads, dims, strict=True)]
            node = node.args[0]  # type: ignore[assignment]
            if emission.value(node).grid != value.grid:
                return best
            best = replace(emission.value(node).permute(dims), dynamic=value.dynamic), pads
        else:
            return best


def _keeps_grid(emission: Emission, node: fx.Node, value: Value) -> bool:
    """Whether `node` rounds a value that already is on its grid, or leaves the rounding to a hybrid kernel."""
    if is_call(node, torch.ops.edgekit.fake_quantize_dynamic.default):
        return True
    return grid_of(node) is not None and isinstance(node.args[0], fx.Node) and emission.value(node.args[0]).grid == value.grid


def padded(emission: Emission, tensor: int, pads: Sequence[tuple[int, int]], low: float | None = None) -> int:
    """`tensor` padded with zeros, or with `low`, in storage order."""
    if not any(b or a for b, a in pads):
        return tensor
    source = emission.builder.tensors[tensor]
    shape = tuple(s + b + a for s, (b, a) in zip(source.shape, pads, strict=True))
    amounts = emission.builder.constant(np.asarray(pads, np.int32))
    if low is None:
        return emission.once(OP.PAD, (tensor, amounts), shape, schema.PadOptionsT())
    filling = emission.builder.constant(np.asarray(low, source.dtype), source.grid)
    return emission.once(OP.PADV2, (tensor, amounts, filling), shape, schema.PadV2OptionsT())
