"""Clusters the weights of a graph with given widths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx

from edgekit.canonicalize.vocabulary import LAYERS
from edgekit.compress.budget import Assignment
from edgekit.compress.channels import groups_of
from edgekit.compress.cluster.fitting import Target, fit
from edgekit.compress.cluster.hessians import Assumed
from edgekit.compress.cluster.layers import HALF_BITS, Layer
from edgekit.compress.cluster.moments import can_fit, moments
from edgekit.compress.cluster.reconstruction import Seen, rebias, reconstruct
from edgekit.compress.cluster.tables import SIGNS, codebook
from edgekit.constraints import Codebook
from edgekit.data import Samples
from edgekit.graph import Graph, finish, is_call, revalue

FIXED = ("uniform", *SIGNS)
"""Methods whose tables have a form that least squares over their entries would lose."""


@dataclass(frozen=True)
class Clustering:
    """How weights are clustered.

    Attributes:
        channels: Output channels that share a table, at most; None for one table a weight.
        method: What tables are made of, a key of `cluster.METHODS`.
        costs: What errors cost, by weight; None for squared errors.
        correction: A key of `cluster.CORRECTIONS`.
        ridge: See `fitting.Target.fitted`.
        samples: For corrections that take data.
    """

    channels: int | None
    method: str
    costs: Mapping[str, Tensor] | None
    correction: str
    ridge: float
    samples: Samples | None

    def codebook(self, layer: Layer, bits: int) -> Codebook:
        """Tables for a weight as it is."""
        costs = None if self.costs is None else self.costs[layer.name]
        return codebook(layer, bits, self.channels, method=self.method, costs=costs)

    def clustered(self, layer: Layer, tables: Codebook) -> Tensor:
        """The weight with each element's nearest entry, pruned ones zero."""
        projected = tables.project(layer.value)
        return projected if layer.mask is None else layer.mask.project(projected)

    def apply(self, graph: Graph, found: Sequence[Layer], widths: Assignment) -> Graph:
        """The graph with clustered weights and corrected biases.

        Args:
            graph: Float.
            found: Its weights.
            widths: Of each; those of `HALF_BITS` are left alone.
        """
        codebooks = {y.name: self.codebook(y, widths[y.name]) for y in found if widths[y.name] < HALF_BITS}
        values = {y.name: self.clustered(y, codebooks[y.name]) for y in found if y.name in codebooks}
        biases: dict[str, Tensor] = {}
        if self.correction == "sums":
            for layer in (y for y in found if y.name in codebooks and can_fit(y.reader)):
                values[layer.name], codebooks[layer.name] = self._summed(layer, codebooks[layer.name])
        elif self.correction != "none":
            assert self.samples is not None
            chosen = {y.reader.name: _Chooser(self, y, codebooks, values) for y in found if y.name in codebooks and _corrected(y)}
            biases = reconstruct(graph, self.samples, chosen, "clustering layers").biases
        return _with(graph, values, codebooks, biases)

    def fitted(self, layer: Layer, target: Target, start: Codebook, tables: Tensor) -> tuple[Tensor, Codebook]:
        """The clustered weight nearest to a target, and its tables.

        Args:
            layer: The weight.
            target: What it should be.
            start: Its codebook as it was.
            tables: To start from.
        """
        rows = torch.arange(len(layer.value)) // (len(layer.value) // len(tables))
        value, tables = fit(target, tables, rows.reshape(target.weight.shape[:2]), refit=self.method not in FIXED)
        return value.reshape(layer.value.shape), replace(start, tables=tables)

    def _summed(self, layer: Layer, start: Codebook) -> tuple[Tensor, Codebook]:
        """The weight whose errors cancel in sums over kernels and over all inputs, as far as they can, and its tables."""
        groups, (_, kernels, *taps) = groups_of(layer.reader), layer.value.shape
        rows = (groups, len(layer.value) // groups, -1)
        hessian = Assumed(groups, kernels, math.prod(taps))
        return self.fitted(layer, Target(layer.value.reshape(rows), hessian, layer.kept.reshape(rows)), start, start.tables)


@dataclass(frozen=True)
class _Chooser:
    """Clusters one weight when its layer's turn comes, and keeps what came out."""

    clustering: Clustering
    layer: Layer
    codebooks: dict[str, Codebook]
    values: dict[str, Tensor]

    def __call__(self, node: fx.Node, seen: Seen) -> Tensor:
        name = self.layer.name
        if self.clustering.correction == "layers" and can_fit(node):
            self.values[name], self.codebooks[name] = self._fitted(node, seen, self.codebooks[name])
        return self.values[name]

    def _fitted(self, node: fx.Node, seen: Seen, start: Codebook) -> tuple[Tensor, Codebook]:
        """The weight whose layer gives back the wanted outputs best, and its tables."""
        products, squares = moments(node, seen)
        layer, shape, clustering = self.layer, self.layer.value.shape, self.clustering
        float_weight, kept = layer.value.reshape(products.shape).double(), layer.kept.reshape(products.shape)
        target = Target.fitted(float_weight, products, squares, kept, clustering.ridge)
        if clustering.method == "uniform":
            return clustering.fitted(layer, target, start, start.tables)
        costs = target.hessian.diagonal[:, None].expand_as(target.weight).reshape(shape)
        if clustering.costs is not None:
            costs = clustering.costs[layer.name]
        moved = replace(layer, value=target.weight.reshape(shape))
        tables = codebook(moved, start.bits, clustering.channels, method=clustering.method, costs=costs).tables
        return clustering.fitted(layer, target, start, tables)


def _corrected(layer: Layer) -> bool:
    """Whether a layer has a bias of its own, which can take the mean that clustering costs."""
    return not layer.shared and is_call(layer.reader, *LAYERS)


def _with(graph: Graph, values: Mapping[str, Tensor], codebooks: Mapping[str, Codebook], biases: Mapping[str, Tensor]) -> Graph:
    result = graph.copy()
    for node in result.nodes:
        if node.op == "get_attr" and node.target in values and node.users:
            revalue(node, values[str(node.target)].clone(), codebooks[str(node.target)])
    for node in result.nodes:
        if node.name in biases:
            rebias(node, biases[node.name])
    finish(result.module)
    return result
