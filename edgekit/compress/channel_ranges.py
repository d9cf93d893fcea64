"""How large channels get on data, and the options of the passes that even them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.compress.quantize.calibrate import batches
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph


def check_evening(name: str, strength: float, batch_size: int) -> None:
    """Refuse options that no pass of this kind has.

    Raises:
        UsageError: The strength is no share, or there are no samples in a batch.
    """
    if not 0 <= strength <= 1:
        raise UsageError(f"{name} strength is {strength:g}", accepted="0 to 1")
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}", accepted="1 or more samples")


def channel_ranges(what: str, graph: Graph, data: Samples | None, axes: Mapping[str, int], batch_size: int) -> dict[str, Tensor]:
    """The largest magnitude of each channel of some values; what is not finite counts as 0.

    Args:
        what: What the pass does, for the error: ``equalization``.
        graph: Runs on the data.
        data: Calibration samples.
        axes: Name of a value's node to the axis of its channels.
        batch_size: Samples run at once; the result does not depend on it.

    Returns:
        By name, shape (channels,).

    Raises:
        DataError: There are no data, or they do not fit the model.
    """
    if data is None:
        raise DataError(f"{what} measures channels on data", accepted="calibration samples", next_step="pass calibration=...")
    ranges: dict[str, Tensor] = {}
    with torch.inference_mode():
        for run, inputs, _ in batches(graph, data, batch_size):
            _Ranges(run.module, axes, ranges).run(*inputs)
    return ranges


class _Ranges(fx.Interpreter):
    """Keeps the largest magnitude of each channel."""

    def __init__(self, module: fx.GraphModule, axes: Mapping[str, int], ranges: dict[str, Tensor]) -> None:
        super().__init__(module)
        self._axes = axes
        self._ranges = ranges

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self._axes:
            axis = self._axes[n.name] % value.dim()
            others = [d for d in range(value.dim()) if d != axis]
            largest = torch.nan_to_num(torch.maximum(value.amax(others), -value.amin(others)), 0.0, 0.0, 0.0)
            before = self._ranges.get(n.name)
            self._ranges[n.name] = largest if before is None else torch.maximum(before, largest)
        return value
