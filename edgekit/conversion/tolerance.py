"""How far a right file may be from the graph that predicts it.

Kernels add in another order and round elsewhere than the graph does: an integer kernel lands on the neighbouring step now
and then, a float kernel differs in the last bits. What that does to an output depends on the model: nothing in a small one, a lot
where fifty layers and a softmax amplify it. So it is measured: the graph is run again with a rounding error at every operator,
and how far that moves its outputs is what a file may differ by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from edgekit.conversion.expected import UNSTABLE, Expected, distance
from edgekit.conversion.running import run_graph
from edgekit.graph import Graph, grid_of, is_call, op_name, shape_of

FLOAT_ERROR = {"float32": 2.0**-18, "float16": 2.0**-12}
"""Relative error of a float operator: sums of thousands of products in another order; in half precision, its last bit."""
FLOOR = {"float32": 1e-5, "float16": 2.0**-11}
"""Share of an output that a right file may differ by even if no error spreads."""
MARGIN = 3.0
"""Right files measured up to 1.1 of the spread with integer kernels, 0.1 with float ones, over the reference models."""
DRAWS = 8
"""Disturbed runs where outputs are so small that one may by luck be hardly moved."""
SMALL = 64


def expect(graph: Graph, inputs: Mapping[str, np.ndarray], compute: str = "float32", convolutions: float = 0.0) -> Expected:
    """Run the final graph on samples, as it is and disturbed.

    Args:
        graph: Quantized or not.
        inputs: Samples by input name.
        compute: What the file's float operators compute in.
        convolutions: Relative error of convolutions with several taps, where the runtime computes them less exactly than other operators
            (`edgekit.plugins.Inexact`).
    """
    outputs = run_graph(graph, inputs, "predicting the file's outputs")
    draws = DRAWS if min(v.size for v in outputs.values()) < SMALL else 1
    jittered = [
        run_graph(graph, inputs, "measuring how rounding spreads", run=_Jittered(graph.module, i, FLOAT_ERROR[compute], convolutions).run)
        for i in range(draws)
    ]
    spread = {name: float(np.sqrt(np.mean([distance(j[name], v) ** 2 for j in jittered]))) for name, v in outputs.items()}
    floor = _floors(graph, outputs, FLOOR[compute])
    size = {name: distance(value, np.zeros_like(value)) for name, value in outputs.items()}
    moved = {n: spread[n] / size[n] for n, value in outputs.items() if value.dtype.kind == "f" and size[n] > 0}
    return Expected(outputs, {n: MARGIN * s + floor[n] for n, s in spread.items()}, {n: m for n, m in moved.items() if m > UNSTABLE})


def expect_roughly(graph: Graph, inputs: Mapping[str, np.ndarray]) -> Expected:
    """What a file someone else quantized should answer: what the float graph does, within half of its size."""
    outputs = run_graph(graph, inputs, "predicting the file's outputs")
    return Expected(outputs, {n: 0.5 * max(distance(v, np.zeros_like(v)), 0.5) for n, v in outputs.items()}, {})


def _floors(graph: Graph, outputs: Mapping[str, np.ndarray], share: float) -> dict[str, float]:
    """What a file may differ by even if no error spreads: one step of a grid, the last bits of a float, one tie among choices."""
    (end,) = [n for n in graph.nodes if n.op == "output"]
    results: Any = end.args[0]
    floors = {}
    for spec, node in zip(graph.outputs, results if isinstance(results, (list, tuple)) else [results], strict=True):
        grid, value = grid_of(node), outputs[spec.name]
        if value.dtype.kind in "iub":
            floors[spec.name] = 0.25
        else:
            floors[spec.name] = grid.scale[0] if grid is not None else share * distance(value, np.zeros_like(value)) + 1e-6
    return floors


class _Jittered(fx.Interpreter):
    """Runs a graph with an error at every operator: half a step, uniformly, where it rounds; a relative `error` elsewhere."""

    def __init__(self, module: fx.GraphModule, seed: int, error: float, convolutions: float = 0.0) -> None:
        super().__init__(module)
        self.error = error
        self.convolutions = convolutions
        self.generator = torch.Generator().manual_seed(seed)

    def run_node(self, n: fx.Node) -> Any:
        """The node's result, disturbed."""
        if not is_call(n):
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        grid = grid_of(n)
        if grid is not None:
            if len(grid.scale) == 1 and grid.block is None and is_call(n.args[0]):
                args = (self._shifted(args[0], grid.scale[0]), *args[1:])
            return self.call_function(n.target, args, dict(kwargs))
        if op_name(n) == "fake_quantize_dynamic" or _rounds_at_run_time(n):
            args = (self._shifted(args[0], _dynamic_steps(args[0])), *args[1:])
        result = self.call_function(n.target, args, dict(kwargs))
        error = max(self.error, self.convolutions) if _has_taps(n) else self.error
        return tuple(self._disturbed(r, error) for r in result) if isinstance(result, tuple) else self._disturbed(result, error)

    def _disturbed(self, result: Any, error: float) -> Any:
        if isinstance(result, Tensor) and result.is_floating_point():
            return result * (1 + error * torch.randn(result.shape, generator=self.generator))
        return result

    def _shifted(self, value: Tensor, step: float | Tensor) -> Tensor:
        return value + (torch.rand(value.shape, generator=self.generator) - 0.5) * step


def _has_taps(n: fx.Node) -> bool:
    """Whether a call is a convolution whose kernel has several taps."""
    return op_name(n) == "convolution" and math.prod(shape_of(n.args[1])[2:]) > 1  # type: ignore[arg-type]


def _rounds_at_run_time(n: fx.Node) -> bool:
    """Kernels of blockwise int4 weights round their activations by a rule of their own, which the graph does not have."""
    grids = [grid_of(a) for a in n.all_input_nodes]
    return any(g is not None and g.block is not None for g in grids)


def _dynamic_steps(value: Tensor) -> Tensor:
    """Steps of int8 over each row's own range."""
    rows = value.reshape(value.shape[0], -1).abs().amax(1) / 127
    return rows.reshape(-1, *(1,) * (value.dim() - 1))
