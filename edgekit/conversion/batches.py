"""Files that take any batch between two sizes, built for the one that is usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ConversionError, UsageError

if TYPE_CHECKING:
    from edgekit.graph import Graph

Batches = tuple[int, int, int]
"""The smallest, the usual and the largest batch."""

_ROUNDED = 0.1
"""By how much samples run together may differ from samples run alone, relative, in a graph that rounds to integers."""


def checked_batches(given: Sequence[int]) -> Batches:
    """The smallest, the usual and the largest batch.

    Raises:
        UsageError: They are not three sizes in rising order.
    """
    sizes = tuple(given)
    if (
        len(sizes) != 3
        or not all(isinstance(n, int) and not isinstance(n, bool) for n in sizes)
        or not 1 <= sizes[0] <= sizes[1] <= sizes[2]
    ):
        raise UsageError(f"batches are {','.join(map(str, sizes))}", accepted="the smallest, the usual and the largest, such as 1,8,32")
    return sizes[0], sizes[1], sizes[2]


def with_any_batch(graph: Graph, sizes: Batches, inputs: Mapping[str, np.ndarray]) -> Graph:
    """The graph to write for any batch.

    Args:
        graph: Final, of batch 1.
        sizes: Asked for.
        inputs: Samples to try it on, by input name.

    Raises:
        ConversionError: The model mixes its samples, or its batch was fixed at another size.
    """
    import torch  # noqa: PLC0415 - loads where it is needed

    from edgekit.canonicalize.batched import TOLERANCE, batched  # noqa: PLC0415
    from edgekit.graph import grid_of  # noqa: PLC0415

    rounds = any(grid_of(node) is not None for node in graph.nodes)
    rows = [tuple(torch.from_numpy(inputs[s.name][i % len(inputs[s.name])][None]) for s in graph.inputs) for i in range(2)]
    wide = batched(graph, rows, tolerance=_ROUNDED if rounds else TOLERANCE)
    if wide is None:
        raise ConversionError(
            "the model does not compute its samples one by one, so it has no open batch",
            accepted="a model whose every input and output has its samples first, and that mixes none",
            next_step="leave out --batches, and fix the size with --batch",
        )
    kept = tuple(note for note in graph.notes if not note.startswith("batch dimension fixed"))
    return replace(wide, notes=(*kept, f"batch dimension open from {sizes[0]} to {sizes[2]}, best at {sizes[1]}"))
