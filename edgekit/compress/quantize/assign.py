"""Gives every group of the plan its grid: fixed by a kernel, exact for constants, else from calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import fx

from edgekit.compress.quantize.annotate import clamp_bounds
from edgekit.compress.quantize.grids import grid, levels
from edgekit.compress.quantize.histogram import HUGE, Histogram
from edgekit.compress.quantize.observers import Observer, choose_range, merged, observer
from edgekit.compress.quantize.plan import Group, Plan, Slot
from edgekit.compress.quantize.sharing import activation_bits, activation_rules, shares
from edgekit.compress.quantize.warning import Remarks, named
from edgekit.graph import argument, constant_value, op_name
from edgekit.targets import Rules
from edgekit.tensors import Grid

MASKED_BELOW = 8.0
"""How far below the smallest real value minus infinity is put: exp(-8) is less than a tenth of a softmax step."""


@dataclass(frozen=True)
class Calibrator:
    """How ranges are chosen from observations.

    Attributes:
        method: A key of `CALIBRATIONS`.
        percentile: Percent kept below each end, for ``percentile``.
        momentum: Weight of the past, for ``moving_average``.
    """

    method: str
    percentile: float
    momentum: float

    def observer(self) -> Observer:
        """A fresh observer."""
        return observer(self.method, self.momentum)


def sources(group: Group, plan: Plan, rules: Rules) -> list[Slot]:
    """The slots that bring values into the group; the others only move or compare them."""
    absorbed = set(plan.fused.values())

    def moved(slot: Slot) -> bool:
        node = slot.value
        if slot.reader is not None or node not in plan.integer or node in absorbed:
            return False
        return activation_bits(node, plan) == slot.bits and shares(node, plan, rules)

    return [slot for slot in group.slots if not moved(slot)]


def watched(plan: Plan, rules: Rules) -> list[fx.Node]:
    """The nodes whose values calibration must observe."""
    found = [observed(s, plan) for g in plan.groups if g.fixed is None for s in sources(g, plan, rules)]
    return [n for n in dict.fromkeys(found) if n.op != "get_attr"]


def observed(slot: Slot, plan: Plan) -> fx.Node:
    """The node whose values tell a source's range: what only a clamp reads need not be held beyond its bounds."""
    readers = list(slot.value.users)
    if len(readers) == 1 and readers[0] in plan.integer and op_name(readers[0]) == "clamp" and slot.value.op != "get_attr":
        return readers[0]
    return slot.value


@dataclass(frozen=True)
class Assignment:
    """Gives each group of a plan its grid.

    Attributes:
        plan: Complete.
        rules: The target's.
        calibrator: How ranges are chosen.
        observers: What calibration saw of the `watched` nodes.
        remarks: Takes a warning for each range the data do not determine.
    """

    plan: Plan
    rules: Rules
    calibrator: Calibrator
    observers: Mapping[fx.Node, Observer]
    remarks: Remarks

    def grids(self) -> dict[Slot, Grid]:
        """The grid of every slot."""
        return {slot: grid for group in self.plan.groups for grid in [self._grid(group)] for slot in group.slots}

    def _grid(self, group: Group) -> Grid:
        width, found = self.rules.activations[group.bits], sources(group, self.plan, self.rules)
        if group.fixed is not None:
            return group.fixed
        adopted = _adopted(found, self.plan, self.rules)
        if adopted is not None and (not group.symmetric or adopted.zero_point == (0,)):
            return adopted
        symmetric = width.symmetric or group.symmetric
        constants = [s for s in found if s.value.op == "get_attr"]
        live = [observed(s, self.plan) for s in found if s not in constants]
        ranges = [_constant_range(s.value) for s in constants] + [_padding(s.value) for s in group.slots]
        if live:
            ranges.append(self._calibrated(live, levels(width.dtype, symmetric), symmetric))
        low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
        if low == high == 0:
            low, high = (-1.0, 1.0)  # a constant of zeros: any grid holds it
        return grid(low, high, width.dtype, symmetric=symmetric)

    def _calibrated(self, nodes: list[fx.Node], steps: int, symmetric: bool) -> tuple[float, float]:
        seen, what, warn = [self.observers[n] for n in nodes], named(nodes[0]), self.remarks.warn
        whole = merged(seen)
        if whole.dropped:
            warn(f"{what}: {whole.dropped} values are NaN or infinite on the calibration data; they are left out of its range")
        if whole.seen == 0 or whole.range == (0.0, 0.0):
            low, high = _unit_range(nodes[0])
            fault = "is 0 everywhere" if whole.seen else "has no finite value"
            warn(f"{what} {fault} on the calibration data; its grid spans {low:g} to {high:g}")
            return low, high
        if whole.low == whole.high and whole.seen > 1:
            warn(f"{what} is {whole.low:.6g} everywhere on the calibration data; its grid holds 0 and that value, nothing beyond")
        # An input's range is the data's own: what lies inside is no outlier.
        is_input = any(n.op == "placeholder" for n in nodes)
        method = "minmax" if is_input and self.calibrator.method in ("mse", "entropy", "sensitivity") else self.calibrator.method
        return _unmasked(whole, choose_range(seen, method, self.calibrator.percentile, steps, symmetric))


def _adopted(found: Sequence[Slot], plan: Plan, rules: Rules) -> Grid | None:
    """The grid of the group's sources, if kernels fix the same one for all of them."""
    grids = set()
    for slot in found:
        if slot.value not in plan.integer or activation_bits(slot.value, plan) != slot.bits:
            return None
        grids.add(activation_rules(slot.value, plan, rules).fixed.get(op_name(slot.value)))
    return grids.pop() if len(grids) == 1 else None


def _constant_range(node: fx.Node) -> tuple[float, float]:
    value = constant_value(node)
    assert value is not None
    seen = Histogram(counting=False)
    seen.add(value)
    return _unmasked(seen, seen.range)


def _padding(node: fx.Node) -> tuple[float, float]:
    """What constant padding adds to a group's range; infinite padding (of a max-pool) may saturate."""
    value = argument(node, "value") if _call_name(node) == "pad" else None
    return (float(value), float(value)) if value is not None and abs(value) < HUGE else (0.0, 0.0)


def _call_name(node: fx.Node) -> str | None:
    """The operator's name, None for what is no call."""
    return op_name(node) if node.op == "call_function" else None


def _unit_range(node: fx.Node) -> tuple[float, float]:
    """A range for what is never seen to vary: one unit to each side that an activation leaves open."""
    low, high = clamp_bounds(node) if _call_name(node) in ("relu", "clamp") else (None, None)
    return (0.0 if low == 0 else -1.0), (0.0 if high == 0 else 1.0)


def _unmasked(seen: Histogram, chosen: tuple[float, float]) -> tuple[float, float]:
    low, high = chosen
    return (min(low, seen.low - MASKED_BELOW) if seen.masked and seen.seen else low), high
