"""What an error of each weight costs at the outputs: its squared gradients on data.

To second order an error e of a weight moves the outputs z by Σ_k (∂z_k/∂w)² e²: the diagonal of the Gauss-Newton matrix, which is
what SqueezeLLM (Kim et al. 2024, section 4.1) weighs k-means by, there as the empirical Fisher information of a loss. Labels
are not needed here: the sum over the outputs is estimated by gradients of random ±1 combinations of them, drawn anew for each sample
(Hutchinson 1990), so that the squared gradient of a batch has the sum over its samples as its mean. Outputs that
are probabilities count by the divergence of the distribution (`edgekit.compress.quantize.sensitivity`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, fx

from edgekit.compress.quantize.calibrate import batches
from edgekit.compress.quantize.sensitivity import Reactions, affordable
from edgekit.data import Samples
from edgekit.graph import Graph

BATCH = 8
"""Samples behind one squared gradient: fewer make the estimate less noisy, more make it faster."""

FEWEST, WORK = 16, 1 << 28
"""Samples to run back, at least, and elements of activations, at most."""


class Weighted(Protocol):
    """A weight of a graph."""

    @property
    def name(self) -> str:
        """Target of its node."""

    @property
    def node(self) -> fx.Node:
        """Its ``get_attr`` node, in the graph or in a copy of it."""

    @property
    def value(self) -> Tensor:
        """The weight."""


def weight_costs(graph: Graph, layers: Sequence[Weighted], samples: Samples) -> dict[str, Tensor]:
    """By weight, what a squared error of each element adds to that of the outputs, up to a factor common to all weights.

    Args:
        graph: Float.
        layers: Of the graph.
        samples: To run; some of them where the model is large.
    """
    names = {layer.node.name: layer.name for layer in layers}
    costs = {layer.name: torch.zeros_like(layer.value) for layer in layers}
    first = 0
    for run, inputs, count in batches(graph, affordable(graph, samples, FEWEST, WORK)[0], BATCH):
        for node, (_, squared) in Reactions(run, frozenset(names)).of(inputs, first, count).items():
            costs[names[node]] += squared
        first += count
    return costs
