"""A few inputs and the float graph's answers to them, kept in every artifact: what it is checked on where nothing else is at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.tensors import TensorSpec

COUNT = 4
"""Samples kept, fewer where they are large."""
BYTES = 4 << 20
LARGE = 1 << 16
"""Elements of an input above which one sample tells enough: its outputs depend on many."""


def golden_inputs(inputs: Sequence[TensorSpec], samples: Samples | None) -> dict[str, np.ndarray]:
    """The first few calibration samples, or random ones where there are none.

    Args:
        inputs: Of the float graph.
        samples: Calibration samples, or None.

    Returns:
        By input name, arrays of shape (`COUNT` or fewer, *input shape without batch).
    """
    source = samples if samples is not None and len(samples) else random_samples(inputs, COUNT)
    row = sum(array[:1].nbytes for array in source.inputs.values())
    keep = max(1, min(COUNT, len(source), BYTES // max(row, 1)))
    return {name: np.ascontiguousarray(array[:keep]) for name, array in source.inputs.items()}


def few(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those of the golden inputs a file is checked on: all if they are small, one if they are large."""
    large = sum(array[:1].size for array in inputs.values()) > LARGE
    return {name: array[:1] if large else array for name, array in inputs.items()}


def random_samples(inputs: Sequence[TensorSpec], count: int) -> Samples:
    """Deterministic noise: standard normal floats, and zeros and ones for integers.

    Raises:
        UsageError: An input has a dtype noise has no form for.
    """
    rng = np.random.default_rng(0)
    return Samples({spec.name: _noise(rng, spec, count) for spec in inputs})


def _noise(rng: np.random.Generator, spec: TensorSpec, count: int) -> np.ndarray:
    shape = (count, *spec.shape[1:])
    kind = np.dtype(spec.dtype).kind
    if kind == "f":
        return rng.standard_normal(shape).astype(spec.dtype)
    if kind in "iub":
        return rng.integers(0, 2, shape).astype(spec.dtype)
    raise UsageError(f"input {spec.name!r} is {spec.dtype}", accepted="float, integer or bool inputs")
