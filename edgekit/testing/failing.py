"""A small network that int8 breaks in one known place, and data on which it is always right in float."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.compress.quantize import Quantize
from edgekit.data import Samples
from edgekit.graph import Graph, aten, is_call, op_name
from edgekit.recipe import Recipe
from edgekit.testing.graphs import graph_of
from edgekit.testing.quantizing import conv

CULPRIT = "stem"
PLAIN = Recipe("plain", (Quantize("w8a8", calibration="minmax"),))
"""int8 without anything that would equalize channels."""


def failing_net(factor: float = 400.0) -> Graph:
    """Convolution ``stem``, relu, convolution ``body``, relu, mean, linear ``head``.

    Args:
        factor: One output channel of ``stem`` is so many times as large as the others, and ``body`` divides it away.
    """

    def net(x0: Any, **k: Any) -> Any:
        a = aten.relu.default(conv(x0, k["w1"], k["b1"]))
        b = aten.relu.default(conv(a, k["w2"], k["b2"]))
        return aten.linear.default(aten.mean.dim(b, [2, 3], False), k["w3"], k["b3"])

    draw = torch.Generator().manual_seed(0)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "b2": (8,), "w3": (6, 8), "b3": (6,)}
    constants = {name: torch.randn(shape, generator=draw) * 0.3 for name, shape in shapes.items()}
    constants["w1"][2] *= factor
    constants["b1"][2] *= factor
    constants["w2"][:, 2] /= factor
    graph = graph_of(net, [torch.zeros(1, 3, 8, 8)], "", **constants)
    named = [n for n in graph.nodes if is_call(n) and op_name(n) in ("convolution", "linear")]
    for node, path in zip(named, (CULPRIT, "body", "head"), strict=True):
        node.meta["module_path"] = path
    return graph


class FailingModule(nn.Module):
    """`failing_net` as a module, of the same paths."""

    def __init__(self) -> None:
        super().__init__()
        weights = dict(failing_net().module.named_buffers())
        self.stem, self.body, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 6)
        for layer, number in ((self.stem, 1), (self.body, 2), (self.head, 3)):
            layer.load_state_dict({"weight": weights[f"w{number}"], "bias": weights[f"b{number}"]})

    def forward(self, x0: Tensor) -> Tensor:
        """Scores of 6 classes, for images of any size."""
        return self.head(self.body(self.stem(x0).relu()).relu().mean((2, 3)))  # type: ignore[no-any-return]


def failing_module() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The module and its example inputs, as `edgekit.convert` loads them by name."""
    return FailingModule().eval(), (torch.zeros(1, 3, 8, 8),)


def answered(graph: Graph, count: int = 60, seed: int = 1) -> Samples:
    """Random images, labelled with what the graph answers."""
    images = np.random.default_rng(seed).normal(size=(count, 3, 8, 8)).astype(np.float32)
    answers = np.concatenate([graph(torch.from_numpy(image[None]))[0].numpy() for image in images])
    return Samples({"x0": images}, answers.argmax(1).astype(np.int64))
