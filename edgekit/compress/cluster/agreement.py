"""How often a compressed classifier answers as the float one does."""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit.compress.quantize.calibrate import batches
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph

BATCH = 32


def answers(graph: Graph, samples: Samples) -> Tensor:
    """The class a classifier gives each sample, shape (samples,).

    Raises:
        UsageError: The graph has several outputs, or one that is not (batch, classes).
        DataError: The samples do not fit the graph's inputs.
    """
    shapes = [spec.shape for spec in graph.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] < 2:
        raise UsageError(
            f"agreement counts answers of a classifier, but the model gives {', '.join(str(list(s)) for s in shapes)}",
            accepted="one output of shape [batch, classes]",
            next_step="give a budget in average_bits instead",
        )
    with torch.inference_mode():
        return torch.cat([run(*inputs)[0].argmax(1)[:count] for run, inputs, count in batches(graph, samples, BATCH)])


def agreement(expected: Tensor, graph: Graph, samples: Samples) -> float:
    """Share of the samples that `graph` gives the expected answers to."""
    return float((answers(graph, samples) == expected).float().mean())


def parted(samples: Samples) -> tuple[Samples, Samples]:
    """The first two thirds of the samples, and the last.

    Raises:
        DataError: There are less than three.
    """
    cut = 2 * len(samples) // 3
    if not 0 < cut < len(samples):
        raise DataError(f"{len(samples)} samples cannot be parted", accepted="3 or more; some 100 to 500 tell something")
    return samples.first(cut), samples.rows(slice(cut, None))
