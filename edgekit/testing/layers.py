"""A small network of every kind of layer that methods of weights fit."""

from __future__ import annotations

import torch
from torch import fx

from edgekit.graph import Graph, aten
from edgekit.testing.graphs import graph_of

SHAPES = {"a": (8, 3, 3, 3), "b": (8,), "c": (8, 1, 3, 3), "d": (8, 4, 3, 3), "e": (8,), "f": (10, 8)}


def network() -> Graph:
    """A convolution, a depthwise one, a grouped one, and a linear layer without a bias, with activations and a sum."""
    random = torch.Generator().manual_seed(0)
    constants = {
        name: torch.randn(shape, generator=random) / max(1.0, torch.Size(shape[1:]).numel() ** 0.5) for name, shape in SHAPES.items()
    }
    return graph_of(_function, [torch.zeros(1, 3, 8, 8)], "net", **constants)


def _function(x: fx.Proxy, *, a: fx.Proxy, b: fx.Proxy, c: fx.Proxy, d: fx.Proxy, e: fx.Proxy, f: fx.Proxy) -> fx.Proxy:
    y = aten.relu.default(_convolution(x, a, b, 1))
    z = aten.clamp.default(_convolution(y, c, None, 8), 0.0, 6.0)
    z = aten.relu.default(aten.add.Tensor(_convolution(z, d, e, 2), y))
    result: fx.Proxy = aten.linear.default(aten.mean.dim(z, [2, 3]), f)
    return result


def _convolution(value: fx.Proxy, weight: fx.Proxy, bias: fx.Proxy | None, groups: int) -> fx.Proxy:
    result: fx.Proxy = aten.convolution.default(value, weight, bias, [1, 1], [1, 1], [1, 1], False, [0, 0], groups)
    return result
