"""Compresses a model layer by layer in execution order, each so that it undoes what the layers before it lost.

The float graph and the compressed one run side by side, node by node, on all samples. At each layer the compressed graph's
inputs and the float graph's outputs say which weight would fit best (as AdaRound's asymmetric reconstruction does, Nagel et
al. 2020, section 3.3), `edgekit.compress.cluster.fitting` clusters that or `edgekit.compress.adaround` rounds it, and the mean that is
still lost goes into the bias. Of a quantized graph, the float graph is the same without its roundings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from edgekit.canonicalize.rewriting import arguments
from edgekit.compress.quantize.calibrate import batches
from edgekit.compress.roundings import is_rounding
from edgekit.data import Samples
from edgekit.graph import Graph, argument, constant, constant_value, op_name
from edgekit.progress import track

BATCH = 32
ELEMENTS = 1 << 26
"""Elements of any one value that are kept at once, at most: fewer samples are used where the model is large."""

Compress = Callable[[fx.Node, "Seen"], Tensor]
"""Gives the compressed weight of a layer, told what its inputs and outputs are."""


@dataclass(frozen=True)
class Seen:
    """What one layer reads and should give, batch by batch.

    Attributes:
        inputs: Of the compressed graph.
        outputs: Of the float graph.
    """

    inputs: list[Tensor]
    outputs: list[Tensor]


@dataclass(frozen=True)
class Reconstruction:
    """What the compressed graph has instead of the float one's.

    Attributes:
        weights: By the name of the layer's call node.
        biases: The same; shape (channels,).
    """

    weights: dict[str, Tensor]
    biases: dict[str, Tensor]


def reconstruct(graph: Graph, samples: Samples, chosen: Mapping[str, Compress], title: str) -> Reconstruction:
    """Run both graphs and compress the layers on the way.

    Args:
        graph: Float, or quantized.
        samples: To run.
        chosen: By the name of a layer's call node, what compresses its weight.
        title: Of the progress bar.

    Raises:
        DataError: The samples do not fit the graph's inputs.
    """
    found = Reconstruction({}, {})
    with torch.no_grad():
        ready = [(run, inputs) for run, inputs, _ in batches(graph, samples.first(_affordable(graph)), BATCH)]
        run = ready[0][0]
        state = _State([inputs for _, inputs in ready])
        for node in track(title, run.nodes):
            if node.op == "output":
                break
            if node.name in chosen:
                state.compress(node, chosen[node.name], found)
            else:
                state.compute(node)
            state.forget(node)
    return found


def rebias(node: fx.Node, value: Tensor) -> None:
    """Give a layer, with or without a bias, another one."""
    old = argument(node, "bias")
    name = f"{node.name}_bias" if old is None else str(old.target)
    given = arguments(node)
    node.args, node.kwargs = (*given[:2], constant(node, value, name), *given[3:]), {}


def _affordable(graph: Graph) -> int:
    sizes = (n.meta["val"].numel() for n in graph.nodes if n.op == "call_function" and isinstance(n.meta["val"], Tensor))
    return max(1, ELEMENTS // max(sizes, default=1))


class _State:
    """The values that are still needed, of both graphs; the same objects as long as nothing was compressed before them."""

    def __init__(self, inputs: list[list[Tensor]]) -> None:
        self._inputs = inputs
        self._placeholders = 0
        self._unread: dict[fx.Node, int] = {}
        self._float: dict[fx.Node, Any] = {}
        self._compressed: dict[fx.Node, Any] = {}

    def compute(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            values: Any = [batch[self._placeholders] for batch in self._inputs]
            self._placeholders += 1
            self._float[node] = self._compressed[node] = values
        elif node.op == "get_attr":
            self._float[node] = self._compressed[node] = [constant_value(node)] * len(self._inputs)
        elif is_rounding(node):
            self._float[node] = self._float[node.args[0]]  # type: ignore[index]
            self._compressed[node] = self._rounded(node)
        else:
            self._float[node] = self._called(node, self._float)
            same = all(self._float[n] is self._compressed[n] for n in node.all_input_nodes)
            self._compressed[node] = self._float[node] if same else self._called(node, self._compressed)

    def compress(self, node: fx.Node, choose: Compress, found: Reconstruction) -> None:
        self._float[node] = wanted = self._called(node, self._float)
        weight = choose(node, Seen(self._compressed[node.args[0]], wanted))  # type: ignore[index]
        source: Any = argument(node, "weight")
        given = self._called(node, {**self._compressed, source: [weight] * len(self._inputs)})
        axis = 1 if op_name(node) == "convolution" else given[0].dim() - 1
        shift = _mean(wanted, axis) - _mean(given, axis)
        shape = [-1 if d == axis else 1 for d in range(given[0].dim())]
        self._compressed[node] = [g + shift.reshape(shape) for g in given]
        bias = constant_value(argument(node, "bias"))
        found.weights[node.name], found.biases[node.name] = weight, shift if bias is None else bias + shift

    def _rounded(self, node: fx.Node) -> list[Any]:
        """A constant is rounded once."""
        constant = all(n.op == "get_attr" for n in node.all_input_nodes)
        return self._called(node, self._compressed, 1) * len(self._inputs) if constant else self._called(node, self._compressed)

    def forget(self, node: fx.Node) -> None:
        """Drop what no later node reads."""
        self._unread[node] = len(node.users)
        for operand in node.all_input_nodes:
            self._unread[operand] -= 1
            if not self._unread[operand]:
                del self._float[operand], self._compressed[operand]

    def _called(self, node: fx.Node, values: Mapping[fx.Node, Any], count: int | None = None) -> list[Any]:
        def one(index: int) -> Any:
            args: Any = map_arg(node.args, lambda n: values[n][index])
            kwargs: Any = map_arg(node.kwargs, lambda n: values[n][index])
            return node.target(*args, **kwargs)  # type: ignore[operator]

        return [one(index) for index in range(len(self._inputs) if count is None else count)]


def _mean(batches: list[Tensor], axis: int) -> Tensor:
    """Mean of each channel over all batches."""
    rows = [b.movedim(axis, 0).flatten(1) for b in batches]
    return sum((r.sum(1) for r in rows), start=torch.zeros(len(rows[0]))) / sum(r.shape[1] for r in rows)
