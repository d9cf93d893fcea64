"""How much each channel matters.

Measures of weights add up over all weights that removing a channel touches, as Fang et al. 2023 ("DepGraph", section 3.3) do: its
outputs and its inputs in every layer of its group. Measures of data ask how the outputs react.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgekit.compress.channels.groups import Channels, Group
from edgekit.compress.channels.trace import INPUTS, OUTPUTS
from edgekit.compress.quantize.calibrate import batches
from edgekit.compress.quantize.sensitivity import Reactions
from edgekit.data import Samples
from edgekit.errors import DataError
from edgekit.graph import Graph

IMPORTANCES: dict[str, str] = {
    "l1": "sum of the magnitudes of a channel's weights (Li et al. 2017, section 3.1)",
    "l2": "root of the sum of their squares (Fang et al. 2023, section 3.3)",
    "geometric_median": "distance of a channel's filters from its layers' others, least where replaceable (He et al. 2019, section 3.3)",
    "taylor": "mean squared change of the outputs, to first order, when the channel goes; needs data (Molchanov et al. 2019, eq. 8)",
    "gradient": "sum of the root mean square gradients of a channel's weights; needs data (Mozer & Smolensky 1989, section 2)",
    "random": "a random order, to compare the others with",
}
"""Name of a measure to what it measures."""

COMPARABLE = ("taylor", "random")
"""Measures that mean the same in every layer. The others are divided by their group's mean before layers are compared."""

Scores = NDArray[np.float64]
"""By channel number; of no meaning for channels that cannot be removed."""


def scores(graph: Graph, channels: Channels, importance: str, samples: Samples | None, *, batch_size: int = 16, seed: int = 0) -> Scores:
    """Importance of each channel; the least important go first.

    Args:
        graph: The graph `channels` was found on.
        channels: Its channels.
        importance: A key of `IMPORTANCES`.
        samples: To run, for measures of data; labels are not needed (`edgekit.compress.quantize.sensitivity`).
        batch_size: Samples run at once.
        seed: Of ``random``.

    Raises:
        DataError: A measure of data has none.
    """
    if importance == "random":
        return np.random.default_rng(seed).random(channels.count)
    if importance in ("taylor", "gradient") and samples is None:
        raise DataError(f"importance {importance!r} is measured on data", accepted="calibration samples", next_step="pass calibration=...")
    if importance == "taylor":
        assert samples is not None
        return _reactions(graph, channels, samples, batch_size)
    if importance == "geometric_median":
        return _summed(graph, channels, _distances, roles=(OUTPUTS,))
    if importance == "gradient":
        assert samples is not None
        sizes = _gradients(graph, channels, samples, batch_size)
        return _summed(graph, channels, lambda weight, axis, target: _along(sizes[target], axis))
    if importance == "l1":
        return _summed(graph, channels, lambda weight, axis, _: _along(weight.abs(), axis))
    return np.sqrt(_summed(graph, channels, lambda weight, axis, _: _along(weight.square(), axis)))


def branch_losses(graph: Graph, ends: Mapping[Group, Sequence[str]], samples: Samples, *, batch_size: int = 16) -> dict[Group, float]:
    """What is lost when a branch gives nothing, as ``taylor`` measures it for a channel: to first order, all its channels at once.

    Args:
        graph: The graph the groups were found on.
        ends: Groups, and the names of the layers that end their branches.
        samples: To run.
        batch_size: Samples run at once.
    """
    total = dict.fromkeys(ends, 0.0)
    for rows, found in _run_back(graph, samples, batch_size, frozenset(name for names in ends.values() for name in names)):
        for group, names in ends.items():
            derivative = sum(
                (_by_sample(value * gradient, 1, rows).sum(1) for value, gradient in (found[n] for n in names)), start=np.zeros(rows)
            )
            total[group] += float(np.square(derivative).sum())
    return {group: value / len(samples) for group, value in total.items()}


def normalized(measured: Scores, groups: Sequence[Group]) -> Scores:
    """Scores whose mean over each group is 1, so that groups of different layers can be compared."""
    result = measured.copy()
    for group in groups:
        members = list(group.channels)
        result[members] /= max(float(measured[members].mean()), np.finfo(float).tiny)
    return result


Measure = Callable[[Tensor, int, str], Tensor]
"""Given a weight, one of its dimensions and its target, a number for each index."""


def _summed(graph: Graph, channels: Channels, measure: Measure, roles: Collection[str] = (OUTPUTS, INPUTS)) -> Scores:
    """A measure of each index of each weight, added up by channel. What is one number a channel (biases, scales) takes no part."""
    total = np.zeros(channels.count)
    for slot in channels.slots:
        weight: Tensor = getattr(graph.module, slot.target)
        if slot.labels.any() and weight.dim() > 1 and slot.role in roles:
            np.add.at(total, slot.labels, measure(weight.detach(), slot.axis, slot.target).double().numpy())
    return total


def _along(values: Tensor, axis: int) -> Tensor:
    """Sums over everything but one dimension."""
    return values.movedim(axis, 0).flatten(1).sum(1)


def _distances(weight: Tensor, axis: int, _: str) -> Tensor:
    """For each filter, the sum of its distances from the others: least at their geometric median."""
    filters = weight.movedim(axis, 0).flatten(1)
    return torch.cdist(filters, filters).sum(1)


def _gradients(graph: Graph, channels: Channels, samples: Samples, batch_size: int) -> Mapping[str, Tensor]:
    """Root mean square gradient of each element of each weight."""
    targets = {slot.target for slot in channels.slots if slot.key == slot.target and slot.labels.any()}
    names = {node.name: str(node.target) for node in graph.nodes if node.op == "get_attr" and str(node.target) in targets}
    total = {target: torch.zeros_like(getattr(graph.module, target)) for target in targets}
    for _, found in _run_back(graph, samples, batch_size, frozenset(names)):
        for name, (_, gradient) in found.items():
            total[names[name]] += gradient.square()
    return {target: (squares / len(samples)).sqrt() for target, squares in total.items()}


def _reactions(graph: Graph, channels: Channels, samples: Samples, batch_size: int) -> Scores:
    """Mean over samples of the squared derivative by a factor on all that writes a channel."""
    writers = {name for slot in channels.slots if slot.role == OUTPUTS and slot.labels.any() for name in slot.readers}
    total = np.zeros(channels.count)
    for rows, found in _run_back(graph, samples, batch_size, frozenset(writers)):
        derivative = np.zeros((rows, channels.count))
        for name, (value, gradient) in found.items():
            for dim, labels in enumerate(channels.values[name]):
                assert isinstance(labels, np.ndarray)  # a layer has one result
                if labels.any():
                    np.add.at(derivative.T, labels, _by_sample(value * gradient, dim, rows).T)
        total += np.square(derivative).sum(0)
    return total / len(samples)


def _by_sample(product: Tensor, dim: int, rows: int) -> Scores:
    """Sums over everything but samples and one dimension, shape (samples, indices)."""
    parts = product.movedim(dim, -1)
    own = rows if parts.shape[0] % rows == 0 else 1
    return parts.reshape(own, -1, parts.shape[-1]).sum(1).double().expand(rows, -1).numpy() / (rows / own)


def _run_back(
    graph: Graph, samples: Samples, batch_size: int, names: frozenset[str]
) -> Iterator[tuple[int, Mapping[str, tuple[Tensor, Tensor]]]]:
    """Values and gradients of nodes, batch by batch, and the samples in each."""
    first = 0
    for run, inputs, count in batches(graph, samples, batch_size):
        yield count, Reactions(run, names).gradients(inputs, first, count)
        first += count
