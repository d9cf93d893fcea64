"""The quantization pass: integer grids, written into the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from torch import Tensor, fx

from edgekit.compress.options import require_within
from edgekit.compress.overrides import check_modules
from edgekit.compress.quantize.annotate import annotate, weight_operand
from edgekit.compress.quantize.assign import Assignment, Calibrator, watched
from edgekit.compress.quantize.calibrate import calibrate
from edgekit.compress.quantize.insert import insert_activations, per_channel
from edgekit.compress.quantize.limits import fit_bias, widen
from edgekit.compress.quantize.observers import CALIBRATIONS
from edgekit.compress.quantize.plan import Plan, Slot
from edgekit.compress.quantize.sharing import share, shares
from edgekit.compress.quantize.warning import Remarks, named
from edgekit.compress.quantize.weight_only import compress_weights, weight_bits
from edgekit.compress.quantize.weights import LIMIT, channel_axis, channel_scales, checked_weight, table_scales
from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.graph import Graph, finish, op_name
from edgekit.recipe import Context
from edgekit.schemes import parse_scheme
from edgekit.targets import Rules
from edgekit.tensors import Grid


@dataclass(frozen=True)
class Quantize:
    """Rounds weights, and under static schemes activations, to integer grids the target's kernels compute with.

    Given: a lowered float graph, pruned and clustered or not.
    Result: the same graph with fake-quantize nodes, which `edgekit.graph.grid_of` reads: it predicts the quantized file. What could not be
    quantized is in its notes.
    Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only inference", section 2;
    those of the calibrations beside them.

    Attributes:
        scheme: A name of the grammar in `edgekit.schemes`: ``w8a8``, ``w8a16``, ``w8ad8``, ``w8``, ``w4b32``, ``fp16``.
        calibration: How activation ranges are chosen, a key of `CALIBRATIONS`.
        percentile: Percent of the values the ``percentile`` calibrator keeps below each end of the range, 50 to 100.
        momentum: Weight of the past in the ``moving_average`` calibrator, per sample, 0 to 1.
        batch_size: Samples run at once in calibration; the result does not depend on it.
        symmetric: Give every activation zero point 0, whatever the target's kernels could do beyond that: then all targets have the
            same grids where they round the same values. Grids that a kernel fixes stay as they are.
        overrides: Module path glob to the scheme of those modules (``{"classifier.*": "float32"}``); the last match wins.
    """

    name: ClassVar[str] = "quantize"

    scheme: str = "w8a8"
    calibration: str = "mse"
    percentile: float = 99.99
    momentum: float = 0.99
    batch_size: int = 32
    symmetric: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse options no calibrator or kernel has.

        Raises:
            UsageError: Naming the option, what it got and what it takes.
        """
        for scheme in (self.scheme, *self.overrides.values()):
            parse_scheme(scheme)
        if self.calibration not in CALIBRATIONS:
            raise UsageError(f"unknown calibration {self.calibration!r}", accepted=list(CALIBRATIONS))
        require_within("percentile", self.percentile, 50 < self.percentile <= 100, "over 50, up to 100 (percent)")
        require_within("momentum", self.momentum, 0 <= self.momentum < 1, "0 up to, not including, 1")
        require_within("batch_size", self.batch_size, self.batch_size >= 1, "1 or more samples")

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The quantized graph.

        Raises:
            DataError: A static scheme without calibration data, or with data that do not fit the model.
            UsageError: An override names a module that the graph has not.
            ConversionError: A weight is NaN or infinite.
        """
        check_modules(graph, self.overrides, "overrides of quantize")
        result, remarks, rules = graph.copy(), Remarks(), _symmetric(context.rules) if self.symmetric else context.rules
        plan = annotate(result, rules, parse_scheme(self.scheme), {k: parse_scheme(v) for k, v in self.overrides.items()})
        share(result, plan, rules)
        self._note_floats(plan, remarks)
        if plan.groups:
            self._quantize_integer(result, plan, replace(context, rules=rules), remarks)
        compress_weights(plan.schemes, plan.integer, rules, remarks)
        finish(result.module)
        return result.noting(*remarks.notes)

    def samples(self, context: Context) -> Samples:
        """What the ranges of activations are measured on.

        Raises:
            DataError: There are no calibration data.
        """
        why = f"scheme {self.scheme!r} rounds activations, so it needs calibration data"
        return context.calibration_for(why, "or use a recipe without it: dynamic_int8, weight_int8")

    def _quantize_integer(self, graph: Graph, plan: Plan, context: Context, remarks: Remarks) -> None:
        rules, calibrator = context.rules, Calibrator(self.calibration, self.percentile, self.momentum)
        observers = {node: calibrator.observer() for node in watched(plan, rules)}
        if observers:
            calibrate(graph, self.samples(context), observers, self.batch_size, weighing=self.calibration == "sensitivity")
        grids = Assignment(plan, rules, calibrator, observers, remarks).grids()
        scales = _weight_scales(plan, rules, remarks)
        widen(plan, grids, scales, rules, remarks)
        _insert_weights(plan, grids, scales, rules, remarks)
        insert_activations(plan, grids, remarks)

    def _note_floats(self, plan: Plan, remarks: Remarks) -> None:
        for node, reason in plan.floats.items():
            remarks.note(f"float: {op_name(node)} ({named(node)}): {reason}")


def _symmetric(rules: Rules) -> Rules:
    """The same kernels, with zero points of 0."""
    return replace(rules, activations={bits: replace(width, symmetric=True) for bits, width in rules.activations.items()})


def _weighted(plan: Plan, rules: Rules) -> list[fx.Node]:
    """Integer nodes whose weight has scales of its own (an embedding's table shares its readers' grid)."""
    return [n for n in plan.operands if weight_operand(n, rules) is not None and not shares(n, plan, rules)]


def _weight_scales(plan: Plan, rules: Rules, remarks: Remarks) -> dict[fx.Node, Tensor]:
    scales = {}
    for node in _weighted(plan, rules):
        weight, axis = weight_operand(node, rules), channel_axis(node, rules)
        assert weight is not None
        own = channel_scales(checked_weight(node, weight), axis, weight_bits(node, plan.schemes[node], rules, remarks))
        scales[node] = table_scales(weight, own, axis)
    return scales


def _insert_weights(plan: Plan, grids: Mapping[Slot, Grid], scales: dict[fx.Node, Tensor], rules: Rules, remarks: Remarks) -> None:
    """Fake-quantize each weight once; what several kernels read fits all their biases."""
    readers: dict[tuple[fx.Node, int, int], list[fx.Node]] = {}
    for node in scales:
        weight = weight_operand(node, rules)
        assert weight is not None
        bits = weight_bits(node, plan.schemes[node], rules, remarks)
        readers.setdefault((weight, channel_axis(node, rules), bits), []).append(node)
    for (weight, axis, bits), nodes in readers.items():
        fitted = scales[nodes[0]]
        for node in nodes:
            slot = next(iter(plan.operands[node].values()))
            if slot.bits == 8:  # the bias of 16-bit kernels is int64
                fitted = fit_bias(node, fitted, grids[slot].scale[0], rules, remarks)
        rounded = per_channel(weight, fitted, axis, LIMIT[bits])
        for node in nodes:
            node.replace_input_with(weight, rounded)
