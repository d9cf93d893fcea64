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

from edgekit.compress.quantize.calibrate import batches
from edgekit.errors import DataError
from edgekit.graph import Graph, constant, constant_value, finish, grid_of, is_call, op_name
from edgekit.recipe import Context

ROUNDINGS = (
    "fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine", "fake_quantize_per_block",
    "fake_quantize_dynamic", "fake_half",
)  # fmt: skip
WEIGHTED = ("convolution", "linear")


@dataclass(frozen=True)
class BiasCorrection:
    """Adds each layer's mean rounding error to its bias. Goes after ``quantize``.

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
        layers = [n for n in graph.nodes if is_call(n) and op_name(n) in WEIGHTED and grid_of(n.args[1]) is not None]
        if not layers:
            return graph
        if context.calibration is None:
            raise DataError("bias correction measures layers on data", accepted="calibration samples", next_step="pass calibration=...")
        shifts = {n.name: MeanShift() for n in layers}
        with torch.inference_mode():
            for run, inputs, _ in batches(graph, context.calibration, self.batch_size):
                _Comparison(run.module, shifts).run(*inputs)
        result = graph.copy()
        for node in result.nodes:
            if node.name in shifts:
                _shift_bias(node, shifts[node.name].value)
        finish(result.module)
        return result


class MeanShift:
    """Running mean by output channel of what rounding takes from a layer's output."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._count = 0

    def add(self, exact: Tensor, rounded: Tensor, axis: int) -> None:
        """Count a batch of outputs."""
        lost = (exact - rounded).movedim(axis, 0).flatten(1).double()
        total = lost.sum(1)
        self._sum = total if self._sum is None else self._sum + total
        self._count += lost.shape[1]

    @property
    def value(self) -> Tensor:
        """The mean so far, shape (channels,), float32."""
        assert self._sum is not None
        return (self._sum / self._count).float()


class _Comparison(fx.Interpreter):
    """Runs the graph in float, past its roundings, and each layer once more with them."""

    def __init__(self, module: fx.GraphModule, shifts: dict[str, MeanShift]) -> None:
        super().__init__(module)
        self._shifts = shifts

    def run_node(self, n: fx.Node) -> Any:
        if is_call(n) and op_name(n) in ROUNDINGS:
            return self.env[n.args[0]]  # type: ignore[index]
        value = super().run_node(n)
        if n.name in self._shifts:
            inputs = [self._rounded(a) if isinstance(a, fx.Node) else a for a in n.args]
            self._shifts[n.name].add(value, n.target(*inputs), 1 if op_name(n) == "convolution" else -1)  # type: ignore[operator]
        return value

    def _rounded(self, node: fx.Node) -> Any:
        exact = self.env[node]
        if not (is_call(node) and op_name(node) in ROUNDINGS):
            return exact
        parameters = [constant_value(a) if isinstance(a, fx.Node) else a for a in node.args[1:]]
        return node.target(exact, *parameters)  # type: ignore[operator]


def _shift_bias(node: fx.Node, shift: Tensor) -> None:
    bias = constant_value(node.args[2]) if len(node.args) > 2 else None
    corrected = constant(node, shift if bias is None else bias + shift, f"{node.name}_bias")
    node.args = (*node.args[:2], corrected, *node.args[3:])
