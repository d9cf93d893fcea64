"""What passes that even out channels share: their options, what they measure, and by how much channels are scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, fx

from edgekit.compress.options import require_within
from edgekit.compress.quantize.calibrate import batches
from edgekit.graph import Graph
from edgekit.recipe import Context

DEAD = 1e-6
"""Channels below this share of the largest are left alone."""


@dataclass(frozen=True)
class Evening:
    """A pass that divides channels where they are written and multiplies them where they are read.

    Attributes:
        strength: The exponent a, 0 to 1: 0 evens out the weights alone, 1 the activations.
        batch_size: Samples run at once; the result does not depend on it.
    """

    name: ClassVar[str]
    most: ClassVar[float]
    """A channel is scaled by at most this, either way."""

    strength: float = 0.5
    batch_size: int = 32

    def __post_init__(self) -> None:
        """Refuse a strength that is no share, and batches of nothing.

        Raises:
            UsageError: Either.
        """
        require_within(f"{self.name} strength", self.strength, 0 <= self.strength <= 1, "0 to 1")
        require_within("batch_size", self.batch_size, self.batch_size >= 1, "1 or more samples")

    def ranges(self, graph: Graph, context: Context, axes: Mapping[str, int]) -> dict[str, Tensor]:
        """The largest magnitude of each channel of some values on calibration data; what is not finite counts as 0.

        Args:
            graph: Runs on the data.
            context: Has the data.
            axes: Name of a value's node to the axis of its channels.

        Returns:
            By name, shape (channels,).

        Raises:
            DataError: There are no data, or they do not fit the model.
        """
        samples = context.calibration_for(f"{self.name} measures channels on data")
        ranges: dict[str, Tensor] = {}
        with torch.inference_mode():
            for run, inputs, _ in batches(graph, samples, self.batch_size):
                _Ranges(run.module, axes, ranges).run(*inputs)
        return ranges

    def factors(self, activation: Tensor, weight: Tensor) -> Tensor:
        """What to divide each channel by, their geometric mean about 1: ``activation ** a / weight ** (1 - a)``.

        Args:
            activation: How large each channel gets.
            weight: How large what reads it is.
        """
        live = (activation > DEAD * activation.max()) & (weight > DEAD * weight.max())
        if not bool(live.any()):
            return torch.ones_like(activation)
        tiny = torch.finfo(activation.dtype).tiny
        log = self.strength * activation.clamp_min(tiny).log() - (1 - self.strength) * weight.clamp_min(tiny).log()
        return torch.where(live, (log - log[live].mean()).exp().clamp(1 / self.most, self.most), 1.0)


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
