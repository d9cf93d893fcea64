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
        labels: Class indices of shape (samples,), or None.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))
