"""Writes grids into the graph as fake-quantize nodes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, fx

from edgekit.compress.quantize.annotate import EXACT_CLAMPS, clamp_bounds
from edgekit.compress.quantize.grids import LIMITS, saturates_at
from edgekit.compress.quantize.plan import Plan, Slot
from edgekit.compress.quantize.sharing import activation_bits
from edgekit.compress.quantize.warning import Remarks, named
from edgekit.graph import aten, call, constant
from edgekit.tensors import Grid


def insert_activations(plan: Plan, grids: Mapping[Slot, Grid], remarks: Remarks) -> None:
    """Round every value that has a grid, where it is made or (slots of one reader) where it is read.

    Args:
        plan: Complete.
        grids: The grid of every slot.
        remarks: Takes a note for each requantization: an operator more in the file.
    """
    for value in dict.fromkeys(slot.value for slot in grids):
        _round(value, list(value.users), plan, grids, remarks)
    for producer, activation in plan.fused.items():
        if plan.float_results:
            continue
        _part_inexact(producer, activation, grids[Slot(activation, activation_bits(activation, plan))])


def per_channel(weight: fx.Node, scales: Tensor, axis: int, limit: int) -> fx.Node:
    """Fake-quantize a weight symmetrically, with a scale for each index of `axis`."""
    before, name = weight.next, str(weight.target)
    scale = constant(before, scales, f"{name}_scale")
    zeros = constant(before, torch.zeros_like(scales, dtype=torch.int32), f"{name}_zero_point")
    return call(before, aten.fake_quantize_per_channel_affine.default, weight, scale, zeros, axis, -limit, limit, like=weight)


def per_block(weight: fx.Node, scales: Tensor, block: int, limit: int) -> fx.Node:
    """Fake-quantize a weight symmetrically, with a scale for each `block` elements of a row."""
    before = weight.next
    scale = constant(before, scales, f"{weight.target}_scale")
    return call(before, torch.ops.edgekit.fake_quantize_per_block.default, weight, scale, block, -limit, limit, like=weight)


def _round(value: fx.Node, readers: list[fx.Node], plan: Plan, grids: Mapping[Slot, Grid], remarks: Remarks) -> None:
    rounds_all = not plan.float_results and (value in plan.integer or value.op == "placeholder")
    rounded = _rounded(value, rounds_all, plan, grids, remarks)
    everyone = next(iter(rounded.values()), value) if rounds_all else value
    for reader in readers:
        slot = plan.operands.get(reader, {}).get(value)
        if slot is None:
            source = next(iter(rounded.values()), value) if reader.op == "output" and not plan.float_results else everyone
        elif slot.reader is None:
            source = rounded[slot.bits]
        elif grids[slot] == grids.get(Slot(value, slot.bits)):
            source = everyone
        else:
            source = _per_tensor(reader, everyone, grids[slot], value)
            if value.op != "get_attr":
                remarks.note(f"requantized: {named(value)} has a grid fixed by its kernel; {named(reader)} needs another")
        reader.replace_input_with(value, source)


def _rounded(value: fx.Node, rounds_all: bool, plan: Plan, grids: Mapping[Slot, Grid], remarks: Remarks) -> dict[int, fx.Node]:
    """The value's fake-quantize nodes by width: the width of its kernel first, any other rounded from that."""
    widths = sorted((s.bits for s in grids if s.value is value and s.reader is None), reverse=True)
    if value in plan.integer:
        widths.sort(key=lambda bits: bits != activation_bits(value, plan))
    rounded: dict[int, fx.Node] = {}
    for bits in widths:
        source = next(iter(rounded.values()), value) if rounds_all else value
        rounded[bits] = _per_tensor((rounded[widths[0]] if rounded else value).next, source, grids[Slot(value, bits)], value)
    if len(rounded) > 1 and value.op != "get_attr":
        remarks.note(f"requantized: {named(value)} is read at {' and '.join(f'{b} bits' for b in rounded)}")
    return rounded


def _per_tensor(before: fx.Node, source: fx.Node, grid: Grid, like: fx.Node) -> fx.Node:
    first, last = LIMITS[grid.dtype]
    return call(before, aten.fake_quantize_per_tensor_affine.default, source, grid.scale[0], grid.zero_point[0], first, last, like=like)


def _part_inexact(producer: fx.Node, activation: fx.Node, grid: Grid) -> None:
    """Round between producer and clamp where neither a kernel's activation nor the grid's own ends do the clamping."""
    bounds = clamp_bounds(activation)
    if bounds in EXACT_CLAMPS or saturates_at(grid, *bounds):
        return
    activation.replace_input_with(producer, _per_tensor(activation, producer, grid, producer))
