"""Calibrators: how the range of a value's grid is chosen from what the samples showed.

All are deterministic, and none depends on the batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from edgekit.compress.quantize.histogram import Histogram
from edgekit.compress.quantize.ranges import entropy_range, mse_range, percentile_range

CALIBRATIONS: dict[str, str] = {
    "minmax": "the whole range seen",
    "moving_average": "the moving average of each sample's range",
    "percentile": "the range without the outermost tails",
    "sensitivity": "the range with the least squared error, each value weighed by how strongly the outputs react to it",
    "mse": "the range with the least expected squared rounding and clipping error",
    "entropy": "the range that keeps the distribution's information (least KL divergence)",
}
"""Calibrator names, and what each is."""


class Observer(Protocol):
    """Sees every sample's value of one node."""

    histogram: Histogram

    def add(self, values: Tensor) -> None:
        """Observe a batch, samples along the first axis."""


class Seen:
    """Keeps the range, and the histogram if asked to."""

    def __init__(self, counting: bool) -> None:
        self.histogram = Histogram(counting=counting)

    def add(self, values: Tensor) -> None:
        """Observe a batch."""
        self.histogram.add(values)


class MovingAverage(Seen):
    """Also averages each sample's own range, recent samples most (Jacob et al. 2018, section 3.1)."""

    def __init__(self, momentum: float) -> None:
        super().__init__(counting=False)
        self._momentum = momentum
        self.average: tuple[float, float] | None = None

    def add(self, values: Tensor) -> None:
        """Observe a batch."""
        super().add(values)
        rows = torch.nan_to_num(values.detach().reshape(len(values), -1) if values.dim() else values.reshape(1, 1), 0.0, 0.0, 0.0)
        for low, high in zip(rows.amin(1).tolist(), rows.amax(1).tolist(), strict=True):
            old, m = self.average or (low, high), self._momentum
            self.average = (m * old[0] + (1 - m) * low, m * old[1] + (1 - m) * high)


def observer(calibration: str, momentum: float) -> Observer:
    """A fresh observer for a calibrator."""
    if calibration == "moving_average":
        return MovingAverage(momentum)
    return Seen(counting=calibration != "minmax")


def choose_range(observers: Sequence[Observer], calibration: str, percentile: float, levels: int, symmetric: bool) -> tuple[float, float]:
    """The range of the grid that several observed values share.

    Args:
        observers: One an observed value.
        calibration: A key of `CALIBRATIONS`.
        percentile: Percent of the values the percentile calibrator keeps below each end.
        levels: Steps of the integer range (255 for int8).
        symmetric: Whether the range must be symmetric about 0.

    Returns:
        Lowest and highest value; not yet widened to include 0.
    """
    if calibration == "moving_average":
        ranges = [o.average for o in observers if isinstance(o, MovingAverage) and o.average is not None]
        return (min(r[0] for r in ranges), max(r[1] for r in ranges)) if ranges else (0.0, 0.0)
    seen = merged(observers)
    choose: dict[str, Callable[[], tuple[float, float]]] = {
        "minmax": lambda: seen.range,
        "percentile": lambda: percentile_range(seen, percentile),
        "sensitivity": lambda: mse_range(seen, levels, symmetric, weighed=True),
        "mse": lambda: mse_range(seen, levels, symmetric),
        "entropy": lambda: entropy_range(seen, levels, symmetric),
    }
    return choose[calibration]() if seen.reach or calibration == "minmax" else seen.range


def merged(observers: Sequence[Observer]) -> Histogram:
    """One histogram of everything the observers saw."""
    if len(observers) == 1:
        return observers[0].histogram
    total = Histogram(counting=False)
    for each in observers:
        total.merge(each.histogram)
    return total
