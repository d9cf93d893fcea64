"""What a written file should answer, and how far it may be from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

UNSTABLE = 0.3
"""Share of an output that rounding alone may move before a comparison of outputs says little."""


@dataclass(frozen=True)
class Expected:
    """What a file should answer.

    Attributes:
        outputs: By name, what the graph answers.
        tolerance: By name, the root mean square by which a right file may differ; for integer outputs (a class index) the share
            of elements that may.
        unstable: Share of each output that rounding alone moves, for outputs where that exceeds `UNSTABLE`.
    """

    outputs: Mapping[str, np.ndarray]
    tolerance: Mapping[str, float]
    unstable: Mapping[str, float]


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square difference of real outputs where both are finite, share of different elements of integer ones."""
    if not a.size:
        return 0.0
    if a.dtype.kind in "iub":
        return float(np.mean(a != b))
    usable = np.isfinite(a) & np.isfinite(b)
    gaps = a[usable].astype(np.float64) - b[usable]
    return float(np.sqrt(np.mean(gaps**2))) if gaps.size else 0.0
