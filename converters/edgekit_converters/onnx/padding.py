"""Padding nodes that convolutions and pools take in: they pad for themselves, each side by its own amount."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, grid_of, is_call
from edgekit_converters.onnx.emission import Emission
from edgekit_converters.onnx.quantize import dequantized, quantized

Pads = list[tuple[int, int]]
"""Before and after, for each spatial dimension."""


def unpadded(emission: Emission, operand: Any, spatial: int, values: tuple[float, ...]) -> tuple[ir.Value, Pads]:
    """The operand before a constant padding with one of `values`, and what that padded; rounding after it moves before it."""
    none = [(0, 0)] * spatial
    pad = operand.args[0] if grid_of(operand) is not None else operand
    if not is_call(pad, aten.pad.default) or argument(pad, "mode") != "constant":
        return emission.value(operand), none
    amounts, value = list(argument(pad, "pad")), argument(pad, "value") or 0.0
    if value not in values or len(amounts) > 2 * spatial or min(amounts) < 0:
        return emission.value(operand), none
    sides = [(amounts[i], amounts[i + 1]) for i in range(0, len(amounts), 2)][::-1]
    return _rounded_before(emission, operand, pad), [*none[len(sides) :], *sides]


def _rounded_before(emission: Emission, operand: fx.Node, pad: fx.Node) -> ir.Value:
    inner, grid = emission.value(pad.args[0]), grid_of(operand)
    if operand is pad or grid is None or emission.grids.get(inner) == grid:
        return inner
    return emission.once((inner, grid), lambda: dequantized(emission, quantized(emission, inner, grid), grid))


def onnx_pads(pads: Pads) -> list[int]:
    """The form of the ``pads`` attribute: all that is before, then all that is behind."""
    return [before for before, _ in pads] + [after for _, after in pads]
