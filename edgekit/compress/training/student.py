"""A graph as a network that trains, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgekit.compress.roundings import is_rounding
from edgekit.compress.training.answers import Network
from edgekit.compress.training.grids import LearnedGrid, learned_grids, write_grids
from edgekit.compress.training.normalization import Normalization, Statistics, normalizable, usual_scale
from edgekit.compress.training.parameters import Parameter, parameters
from edgekit.compress.training.weights import Weight, learned
from edgekit.errors import UsageError
from edgekit.graph import Graph, argument, constant, constraints_of, finish, revalue, reweigh
from edgekit.targets import Rules

MEASURED, AT_ONCE = 512, 64
"""Samples that tell the statistics of channels to begin with, at most, and how many are run at once."""


class Student(Network):
    """A graph that trains: weights, tables, statistics and scales are modules whose parameters an optimizer moves.

    Attributes:
        graph: As it came.
        learned: All these modules, by name.
    """

    def __init__(
        self,
        graph: Graph,
        data: Sequence[Tensor],
        *,
        features: Sequence[str] = (),
        frozen: Sequence[str] = (),
        batch_norm: bool = False,
        scales: Rules | None = None,
    ) -> None:
        """Make a graph trainable; the graph itself stays as it is.

        Args:
            graph: Canonical or lowered, with or without constraints and roundings.
            data: Inputs to train on, one tensor an input.
            features: Module paths whose values losses want.
            frozen: Module path globs whose parameters stay.
            batch_norm: Whether convolutions are normalized by their batches (`normalization`), where samples can be run together
                and nothing is rounded.
            scales: The format's rules, if scales of integer grids train too (`grids`).

        Raises:
            UsageError: A module path does not exist, or nothing is left to train.
        """
        super().__init__(graph, [t[:2] for t in data], features)
        self.graph, self.learned = graph, nn.ModuleDict()
        trained = {p.target: p for p in parameters(graph, frozen)}
        if not trained:
            raise UsageError("the model has no weights to train", accepted="convolutions, linear layers, embeddings, normalizations")
        self._norms = self._normalized(data, trained) if batch_norm else {}
        self._grids: dict[str, LearnedGrid] = {} if scales is None else learned_grids(self.module, scales)
        for name, grid in self._grids.items():
            self.learned[f"grid_{name}"] = grid
        self._weights = {target: self._weight(parameter) for target, parameter in trained.items()}
        self.module.graph.eliminate_dead_code()
        self.module.recompile()

    def project(self) -> None:
        """Restore what an optimizer's step may have broken."""
        for weight in self._weights.values():
            weight.project()

    def regularised(self) -> list[nn.Parameter]:
        """The parameters that weight decay and L1 regularisation are for."""
        return [w.parameter for w in self._weights.values() if w.regularised]

    def to_graph(self) -> Graph:
        """The graph with everything as it is now: statistics folded, constraints kept, scales written."""
        result = self.graph.copy()
        for target, weight in self._weights.items():
            revalue(result.module.graph.find_nodes(op="get_attr", target=target)[0], weight.value(), *weight.imposed())
        for node in result.nodes:
            if node.name in self._norms:
                _fold(node, self._norms[node.name])
        write_grids(result, self._grids)
        finish(result.module)
        return result

    def _normalized(self, data: Sequence[Tensor], trained: dict[str, Parameter]) -> dict[str, Normalization]:
        """Put batch statistics back; takes the biases they make needless out of `trained`."""
        rounds = any(is_rounding(n) for n in self.graph.nodes)
        found = [n for n in normalizable(self.graph.nodes) if argument(n, "weight").target in trained]
        if rounds or self.batch is not None:
            return {}
        statistics = Statistics(self.module, [n.name for n in found])
        rows = torch.linspace(0, len(data[0]) - 1, min(MEASURED, len(data[0]))).round().long()
        with torch.no_grad():
            for start in range(0, len(rows), AT_ONCE):
                statistics.run(*(t[rows[start : start + AT_ONCE]] for t in data))
        twins = {n.name: n for n in self.module.graph.nodes}
        norms = {}
        for node in found:
            weight, bias = trained[argument(node, "weight").target], argument(node, "bias")
            factors = usual_scale(weight.value)
            known = None if bias is None else trained.pop(bias.target).value
            norms[node.name] = Normalization(*statistics.results[node.name], known, factors)
            trained[weight.target] = replace(weight, value=weight.value * factors.reshape(-1, *[1] * (weight.value.dim() - 1)))
            twins[node.name].update_arg(2, None)
            self._insert(f"norm_{node.name}", norms[node.name], twins[node.name])
        return norms

    def _weight(self, parameter: Parameter) -> Weight:
        weight = learned(parameter.value, constraints_of(parameter.node), regularised=parameter.regularised)
        for node in self.module.graph.find_nodes(op="get_attr", target=parameter.target):
            self._insert(f"weight_{parameter.target.replace('.', '_')}", weight, node)
        return weight

    def _insert(self, name: str, module: nn.Module, node: fx.Node) -> None:
        """Let a module take the place of a constant, or of what reads a call's result."""
        self.learned[name] = module
        self.module.add_submodule(name, module)
        takes: tuple[Any, ...] = () if node.op == "get_attr" else (node,)
        with self.module.graph.inserting_after(node):
            call = self.module.graph.call_module(name, takes)
        node.replace_all_uses_with(call, delete_user_cb=lambda user: user is not call)


def _fold(node: fx.Node, norm: Normalization) -> None:
    """Fold statistics into a convolution."""
    scale, bias = norm.folded()

    def scaled(weight: Tensor) -> Tensor:
        return (weight.double() * scale.reshape(-1, *[1] * (weight.dim() - 1))).to(weight.dtype)

    weight = argument(node, "weight")
    node.update_arg(1, reweigh(node, weight, scaled, str(weight.target)))
    node.update_arg(2, constant(node, bias.to(node.meta["val"].dtype), f"{node.name}_bias"))
