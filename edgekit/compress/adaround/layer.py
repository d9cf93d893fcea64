"""One layer's rounding problem: what is to be rounded, and on what it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layer:
    """All stacked over the groups of a grouped convolution.

    Attributes:
        weight: What is rounded, shape (groups, rows, columns).
        steps: The grid's step of each element, of a shape that broadcasts to the weight's.
        limits: The least and the greatest integer.
        kept: Bool, of the weight's shape: elements that may differ from zero.
        inputs: What the quantized layers before deliver, shape (groups, positions, columns).
        outputs: What the float layer gives before its activation, shape (groups, positions, rows).
        activation: What comes next, element by element, or None.
    """

    weight: Tensor
    steps: Tensor
    limits: tuple[int, int]
    kept: Tensor
    inputs: Tensor
    outputs: Tensor
    activation: Activation | None

    def rounded(self, up: Tensor) -> Tensor:
        """The weight on its grid, with a share of 0 to 1 of each element's step taken up."""
        integers = ((self.weight / self.steps).floor() + up).clamp(*self.limits)
        return (integers * self.steps).where(self.kept, 0.0)

    def share(self) -> Tensor:
        """How far each element lies between the step below and the one above, 0 to 1."""
        integers = self.weight / self.steps
        return integers - integers.floor()

    def nearest(self) -> Tensor:
        """The weight, each element rounded to the nearest integer."""
        integers = (self.weight / self.steps).round().clamp(*self.limits)
        return (integers * self.steps).where(self.kept, 0.0)
