"""Bias correction: put back the mean that rounding took from each output channel.

Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.2, in its
empirical form. Rounding a weight, and rounding or clipping what it multiplies, shifts the mean of an output channel; a
shift of the mean is what a bias can undo, at no cost at run time. Each layer's own shift is measured on the float
graph's activations, so one pass over the samples serves all layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, fx

from edgekit.canonicalize.vocabulary import LAYERS
from edgekit.compress.quantize.calibrate import batches
from edgekit.compress.roundings import rounded, without_roundings
from edgekit.graph import Graph, constant, constant_value, finish, grid_of, is_call, op_name
from edgekit.recipe import Context

FEWEST, ENOUGH = 4, 1 << 20
"""A layer's input is summed over so many samples at least, and elements at most: large images tell a mean soon."""


@dataclass(frozen=True)
class BiasCorrection:
    """Adds each layer's mean rounding error to its bias. Goes after ``quantize``.

    Given: a quantized graph.
    Result: the same with other biases, on the grids they had.
    Source: Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.2 (empirical).

    Attributes:
        batch_size: Samples run at once; the result does not depend on it.
    """

    name: ClassVar[str] = "bias_correction"

    batch_size: int = 32

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The graph with corrected biases; as it was, if nothing in it is rounded.

        Raises:
            DataError: There are no calibration data, or they do not fit the model.
        """
        layers = [n for n in graph.nodes if is_call(n, *LAYERS) and grid_of(n.args[1]) is not None]
        if not layers:
            return graph
        samples = context.calibration_for("bias correction measures layers on data")
        sums = {n.name: InputSums(n.args[0]) for n in layers}
        with torch.inference_mode():
            for run, inputs, count in batches(without_roundings(graph), samples, self.batch_size):
                _Sums(run.module, sums, count).run(*inputs)
            shifts = {n.name: _mean_loss(n, sums[n.name]) for n in layers}
        result = graph.copy()
        for node in result.nodes:
            if node.name in shifts:
                _shift_bias(node, shifts[node.name])
        finish(result.module)
        return result


class InputSums:
    """A layer's exact and rounded inputs, each summed over the samples: layers are linear, so sums tell their mean output."""

    def __init__(self, operand: Any) -> None:
        self.operand = operand
        self.exact: Tensor | float = 0.0
        self.rounded: Tensor | float = 0.0
        self.count = 0

    def add(self, exact: Tensor, count: int) -> None:
        """Count a batch of `count` samples, unless those before were enough."""
        rows = count if exact.shape[0] % count == 0 else 1
        wanted = max(FEWEST, ENOUGH * rows // exact.numel()) - self.count
        if wanted <= 0:
            return
        if wanted < rows:
            exact = exact[: wanted * (exact.shape[0] // rows)]
            rows = wanted
        self.exact = self.exact + _summed(exact, rows)
        self.rounded = self.rounded + _summed(rounded(self.operand, exact), rows)
        self.count += rows


class _Sums(fx.Interpreter):
    """Runs the float graph and sums what each layer reads."""

    def __init__(self, module: fx.GraphModule, sums: dict[str, InputSums], count: int) -> None:
        super().__init__(module)
        self._sums, self._count = sums, count

    def run_node(self, n: fx.Node) -> Any:
        if n.name in self._sums:
            self._sums[n.name].add(self.env[n.args[0]], self._count)  # type: ignore[index]
        return super().run_node(n)


def _summed(value: Tensor, rows: int) -> Tensor:
    """The sum of `rows` samples, taken in memory order, which is many times as fast as any other."""
    order = [0, *sorted(range(1, value.dim()), key=value.stride, reverse=True)]
    laid = value.permute(order)
    total = torch.ones(rows) @ laid.reshape(rows, -1)
    return total.reshape(laid.shape[0] // rows, *laid.shape[1:]).permute([order.index(d) for d in range(len(order))])


def _mean_loss(node: fx.Node, sums: InputSums) -> Tensor:
    """What rounding takes from the mean of each output channel, shape (channels,)."""
    weight = constant_value(node.args[1].args[0])  # type: ignore[union-attr]
    rest = (None, *node.args[3:])
    exact = node.target(sums.exact, weight, *rest)  # type: ignore[operator]
    lossy = node.target(sums.rounded, rounded(node.args[1], weight), *rest)  # type: ignore[operator, arg-type]
    axis = 1 if op_name(node) == "convolution" else -1
    return ((exact - lossy) / sums.count).movedim(axis, 0).flatten(1).mean(1)  # type: ignore[no-any-return]


def _shift_bias(node: fx.Node, shift: Tensor) -> None:
    bias = constant_value(node.args[2]) if len(node.args) > 2 else None
    corrected = constant(node, shift if bias is None else bias + shift, f"{node.name}_bias")
    node.args = (*node.args[:2], corrected, *node.args[3:])
