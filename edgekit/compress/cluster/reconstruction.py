"""Clusters a model layer by layer in execution order, each so that it undoes what the layers before it lost.

The float graph and the clustered one run side by side, node by node, on all samples. At each layer the clustered graph's
inputs and the float graph's outputs say which weight would fit best (as AdaRound's asymmetric reconstruction does, Nagel et
al. 2020, section 3.3), `edgekit.compress.cluster.fitting` clusters that, and the mean that is still lost goes into the bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from edgekit.compress.quantize.calibrate import batches
from edgekit.data import Samples
from edgekit.graph import Graph, argument, constant_value, op_name
from edgekit.progress import track

BATCH = 32
ELEMENTS = 1 << 26
"""Elements of any one value that are kept at once, at most: fewer samples are used where the model is large."""

Cluster = Callable[[fx.Node, "Seen"], Tensor]
"""Gives the clustered weight of a layer, told what its inputs and outputs are."""


@dataclass(frozen=True)
class Seen:
    """What one layer reads and should give, batch by batch.

    Attributes:
        inputs: Of the clustered graph.
        outputs: Of the float graph.
    """

    inputs: list[Tensor]
    outputs: list[Tensor]


@dataclass(frozen=True)
class Reconstruction:
    """What the clustered graph has instead of the float one's.

    Attributes:
        weights: By the name of the layer's call node.
        biases: The same; shape (channels,).
    """

    weights: dict[str, Tensor]
    biases: dict[str, Tensor]


def reconstruct(graph: Graph, samples: Samples, chosen: Mapping[str, Cluster]) -> Reconstruction:
    """Run both graphs and cluster the layers on the way.

    Args:
        graph: Float.
        samples: To run.
        chosen: By the name of a layer's call node, what clusters its weight.

    Raises:
        DataError: The samples do not fit the graph's inputs.
    """
    found = Reconstruction({}, {})
    with torch.inference_mode():
        ready = [(run, inputs) for run, inputs, _ in batches(graph, samples.first(_affordable(graph)), BATCH)]
        run = ready[0][0]
        state = _State([inputs for _, inputs in ready])
        for node in track("clustering layers", run.nodes):
            if node.op == "output":
                break
            if node.name in chosen:
                state.cluster(node, chosen[node.name], found)
            else:
                state.compute(node)
            state.forget(node)
    return Reconstruction(*({k: v.clone() for k, v in part.items()} for part in (found.weights, found.biases)))


def _affordable(graph: Graph) -> int:
    sizes = (n.meta["val"].numel() for n in graph.nodes if n.op == "call_function" and isinstance(n.meta["val"], Tensor))
    return max(1, ELEMENTS // max(sizes, default=1))


class _State:
    """The values that are still needed, of both graphs; the same objects as long as nothing was clustered before them."""

    def __init__(self, inputs: list[list[Tensor]]) -> None:
        self._inputs = inputs
        self._placeholders = 0
        self._unread: dict[fx.Node, int] = {}
        self._float: dict[fx.Node, Any] = {}
        self._clustered: dict[fx.Node, Any] = {}

    def compute(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            values: Any = [batch[self._placeholders] for batch in self._inputs]
            self._placeholders += 1
            self._float[node] = self._clustered[node] = values
        elif node.op == "get_attr":
            self._float[node] = self._clustered[node] = [constant_value(node)] * len(self._inputs)
        else:
            self._float[node] = self._called(node, self._float)
            same = all(self._float[n] is self._clustered[n] for n in node.all_input_nodes)
            self._clustered[node] = self._float[node] if same else self._called(node, self._clustered)

    def cluster(self, node: fx.Node, choose: Cluster, found: Reconstruction) -> None:
        self._float[node] = wanted = self._called(node, self._float)
        weight = choose(node, Seen(self._clustered[node.args[0]], wanted))  # type: ignore[index]
        source: Any = argument(node, "weight")
        given = self._called(node, {**self._clustered, source: [weight] * len(self._inputs)})
        axis = 1 if op_name(node) == "convolution" else given[0].dim() - 1
        shift = _mean(wanted, axis) - _mean(given, axis)
        shape = [-1 if d == axis else 1 for d in range(given[0].dim())]
        self._clustered[node] = [g + shift.reshape(shape) for g in given]
        bias = constant_value(argument(node, "bias"))
        found.weights[node.name], found.biases[node.name] = weight, shift if bias is None else bias + shift

    def forget(self, node: fx.Node) -> None:
        """Drop what no later node reads."""
        self._unread[node] = len(node.users)
        for operand in node.all_input_nodes:
            self._unread[operand] -= 1
            if not self._unread[operand]:
                del self._float[operand], self._clustered[operand]

    def _called(self, node: fx.Node, values: Mapping[fx.Node, Any]) -> list[Any]:
        def one(index: int) -> Any:
            args: Any = map_arg(node.args, lambda n: values[n][index])
            kwargs: Any = map_arg(node.kwargs, lambda n: values[n][index])
            return node.target(*args, **kwargs)  # type: ignore[operator]

        return [one(index) for index in range(len(self._inputs))]


def _mean(batches: list[Tensor], axis: int) -> Tensor:
    """Mean of each channel over all batches."""
    rows = [b.movedim(axis, 0).flatten(1) for b in batches]
    return sum((r.sum(1) for r in rows), start=torch.zeros(len(rows[0]))) / sum(r.shape[1] for r in rows)
