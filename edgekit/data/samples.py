"""Samples: arrays a model is calibrated, verified or profiled on, whatever they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Samples:
    """Model-ready inputs, one row a sample, and their labels if there are any.

    Attributes:
        inputs: Input name to an array of shape (samples, *input shape without its batch dimension),
            already preprocessed, in the dtype of the float model's input.
        labels: Class indices of shape (samples,), or what a loss or a metric of the user's own takes, or None.
        classes: Names of the classes in the order of their indices, where the data tell (subfolders), else None.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray | None = None
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values()))) if self.inputs else 0

    def rows(self, which: np.ndarray | slice) -> Samples:
        """Some of the samples."""
        labels = None if self.labels is None else self.labels[which]
        return Samples({name: values[which] for name, values in self.inputs.items()}, labels, self.classes)

    def first(self, count: int) -> Samples:
        """The first `count` samples, or all if there are fewer."""
        return self.rows(slice(count))

    def spread(self, count: int) -> Samples:
        """`count` samples at even distances, the first and the last among them, or all: data may be sorted."""
        return self.rows(np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)))
