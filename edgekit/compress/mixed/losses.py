"""What each rounding of a quantized graph costs the outputs, measured with all others switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from edgekit.compress.quantize.calibrate import batches
from edgekit.compress.quantize.sensitivity import affordable, scores_of
from edgekit.compress.roundings import is_rounding
from edgekit.data import Samples
from edgekit.graph import Graph, constant_value
from edgekit.progress import track


def rounding_losses(graph: Graph, samples: Samples) -> dict[str, float]:
    """By the name of each rounding, the mean square of what it alone adds to the outputs.

    Of a model that ends in a softmax or a sigmoid, the scores before it are taken for the outputs.

    Args:
        graph: Quantized.
        samples: Some of these are run, once for each rounding.

    Raises:
        DataError: The samples do not fit the graph's inputs.
    """
    some, size = affordable(graph, samples)
    found: dict[str, float] = {}
    with torch.no_grad():
        for run, inputs, _ in batches(graph, some, size):
            switchboard = _Switchboard(run, inputs)
            for node in track("switching roundings", [n for n in run.nodes if is_rounding(n)]):
                found[node.name] = found.get(node.name, 0.0) + switchboard.loss(node)
    return found


class _Switchboard:
    """The values of the float graph on one batch, and what changes if one rounding is switched on."""

    def __init__(self, graph: Graph, inputs: list[Tensor]) -> None:
        self._nodes = graph.nodes
        self._exact: dict[fx.Node, Any] = {}
        given = iter(inputs)
        for node in self._nodes:
            if node.op == "placeholder":
                self._exact[node] = next(given)
            elif node.op == "get_attr":
                self._exact[node] = constant_value(node)
            elif node.op == "call_function":
                self._exact[node] = self._exact[node.args[0]] if is_rounding(node) else _called(node, self._exact)  # type: ignore[index]
        output = next(n for n in reversed(self._nodes) if n.op == "output")
        self._outputs = [scores_of(n) for n in output.all_input_nodes]

    def loss(self, rounding: fx.Node) -> float:
        """What the outputs lose by one rounding, squared and summed."""
        changed = {rounding: _called(rounding, self._exact)}
        if torch.equal(changed[rounding], self._exact[rounding]):
            return 0.0
        for node in self._nodes[self._nodes.index(rounding) + 1 :]:
            if node.op == "call_function" and any(n in changed for n in node.all_input_nodes):
                values = {n: changed.get(n, self._exact[n]) for n in node.all_input_nodes}
                changed[node] = values[node.args[0]] if is_rounding(node) else _called(node, values)  # type: ignore[index]
        off = [(changed.get(n, self._exact[n]) - self._exact[n]).double() for n in self._outputs]
        return sum(float(e.nan_to_num(0.0, 0.0, 0.0).square().sum()) for e in off)


def _called(node: fx.Node, values: Mapping[fx.Node, Any]) -> Any:
    args: Any = map_arg(node.args, lambda n: values[n])
    kwargs: Any = map_arg(node.kwargs, lambda n: values[n])
    return node.target(*args, **kwargs)  # type: ignore[operator]
