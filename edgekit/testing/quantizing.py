"""Quantized graphs for tests: small networks, random data, and what to look at in the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from edgekit.compress.quantize import Quantize
from edgekit.data import Samples
from edgekit.graph import Graph, aten, grid_of, is_call, op_name
from edgekit.recipe import Context
from edgekit.targets import load_target
from edgekit.tensors import Grid
from edgekit.testing.graphs import graph_of

RULES = load_target("android").rules
ROUNDINGS = ("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine", "fake_quantize_per_block")


def data(*shapes: tuple[int, ...], count: int = 8, seed: int = 0, scale: float = 1.0) -> Samples:
    """Normal random samples for inputs ``x0``, ``x1``, … of these shapes."""
    random = np.random.default_rng(seed)
    return Samples({f"x{i}": (random.normal(size=(count, *shape)) * scale).astype(np.float32) for i, shape in enumerate(shapes)})


def quantized(graph: Graph, samples: Samples | None = None, **options: Any) -> Graph:
    """`graph` after `Quantize` with these options, calibrated on random data unless given others."""
    if samples is None:
        samples = data(*(spec.shape[1:] for spec in graph.inputs))
    return Quantize(**options)(graph, Context(RULES, samples))


def calls(graph: Graph, name: str) -> list[fx.Node]:
    """The calls of an operator, by its base name."""
    return [n for n in graph.nodes if is_call(n) and op_name(n) == name]


def call_of(graph: Graph, name: str) -> fx.Node:
    """The only call of an operator."""
    (found,) = calls(graph, name)
    return found


def result_grid(node: fx.Node) -> Grid | None:
    """The grid that the only reader of a node rounds it to."""
    (reader,) = node.users
    return grid_of(reader)


def operand_grids(node: fx.Node) -> list[Grid]:
    """Grids of the operands that have one."""
    return [grid for n in node.all_input_nodes if (grid := grid_of(n)) is not None]


def conv(x: Any, w: Any, b: Any, **options: int) -> Any:
    """A 3x3 convolution that keeps the size; `options`: stride, padding, groups."""
    o = {"stride": 1, "padding": 1, "groups": 1, **options}
    return aten.convolution.default(x, w, b, [o["stride"]] * 2, [o["padding"]] * 2, [1, 1], False, [0, 0], o["groups"])


def weights(*shape: int, seed: int = 0) -> Tensor:
    """Random weights."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.2


IMAGE = torch.zeros(1, 3, 8, 8)


def small_net() -> Graph:
    """Conv - relu - conv - add - relu - mean - linear."""

    def net(x0: Any, **k: Any) -> Any:
        a = aten.relu.default(conv(x0, k["w1"], k["b1"]))
        b = conv(a, k["w2"], k["b2"])
        c = aten.relu.default(aten.add.Tensor(a, b))
        return aten.linear.default(aten.mean.dim(c, [2, 3], False), k["w3"], k["b3"])

    constants = {
        "w1": weights(4, 3, 3, 3),
        "b1": weights(4),
        "w2": weights(4, 4, 3, 3, seed=1),
        "b2": weights(4),
        "w3": weights(5, 4),
        "b3": weights(5),
    }
    return graph_of(net, [IMAGE], "", **constants)


def conv_graph(w: Tensor, b: Tensor | None = None) -> Graph:
    """One convolution, of module ``stem``."""
    return graph_of(conv, [IMAGE], module_path="stem", w=w, b=weights(w.shape[0]) if b is None else b)
