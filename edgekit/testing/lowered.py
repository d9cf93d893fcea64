"""What every lowering's test does: apply one rewrite and compare the graph before and after."""

from __future__ import annotations

import dataclasses
from collections import Counter

import torch
from torch import Tensor

from edgekit.conversion.lowering import lower
from edgekit.graph import Graph, is_call, op_name
from edgekit.targets import load_rules


def lowered(graph: Graph, *names: str, inputs: tuple[Tensor, ...], tolerance: float = 1e-5) -> Graph:
    """`graph` after the rewrites `names`, having checked that it computes the same on `inputs`."""
    result = lower(graph, dataclasses.replace(load_rules("litert"), lower=names))
    for before, after in zip(graph(*inputs), result(*inputs), strict=True):
        assert after.dtype == before.dtype
        torch.testing.assert_close(after, before, atol=tolerance * max(1.0, float(before.abs().max())), rtol=0)
    for node in result.nodes:
        assert node.meta["module_path"] == ("block" if is_call(node) else node.meta["module_path"])
    for node, value in zip(_calls(result), _values(result, inputs), strict=True):
        assert tuple(node.meta["val"].shape) == tuple(value.shape), node.format_node()
    return result


def operators(graph: Graph) -> Counter[str]:
    """How many of each operator."""
    return Counter(op_name(n) for n in _calls(graph))


def _calls(graph: Graph) -> list[torch.fx.Node]:
    return [n for n in graph.nodes if is_call(n) and isinstance(n.meta["val"], Tensor)]


def _values(graph: Graph, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    values: list[Tensor] = []

    class Recording(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            value = super().run_node(n)
            if is_call(n) and isinstance(value, Tensor):
                values.append(value)
            return value

    with torch.no_grad():
        Recording(graph.module).run(*inputs)
    return values
