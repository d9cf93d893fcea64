"""How near the artifact's outputs are to the float model's, on the same inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.errors import DataError


@dataclass(frozen=True)
class OutputParity:
    """One output compared over all samples and elements.

    Attributes:
        name: The output's.
        max_abs: Largest absolute difference.
        rmse: Root of the mean squared difference.
        sqnr_db: Signal to quantization noise ratio, 10 log10(sum of reference squared / sum of difference squared);
            infinite for equal outputs.
        cosine: Mean over the samples of the cosine between both outputs.
        agreement: Share of samples whose largest element is the same; None for an output that is not a vector of
            two or more scores.
        non_finite: Elements that are NaN or infinite in the artifact only. The other figures leave them out.
    """

    name: str
    max_abs: float
    rmse: float
    sqnr_db: float
    cosine: float
    agreement: float | None
    non_finite: int = 0


def compare(reference: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> tuple[OutputParity, ...]:
    """Compare all outputs, arrays of shape (samples, ...), by name.

    Raises:
        DataError: Other names or shapes.
    """
    if set(reference) != set(got):
        raise DataError(f"the outputs are {sorted(got)}", accepted=sorted(reference))
    return tuple(_compare(name, reference[name], got[name]) for name in reference)


def _compare(name: str, reference: np.ndarray, got: np.ndarray) -> OutputParity:
    if reference.shape != got.shape:
        raise DataError(f"output {name!r} has shape {list(got.shape)}", accepted=f"{list(reference.shape)}, as the float model's")
    wanted, given = reference.astype(np.float64), got.astype(np.float64)
    broken = ~np.isfinite(given) & np.isfinite(wanted)
    usable = np.isfinite(given) & np.isfinite(wanted)
    wanted_rows, given_rows = (np.where(usable, a, 0.0).reshape(len(a), -1) for a in (wanted, given))
    noise = given_rows - wanted_rows
    elements = max(int(usable.sum()), 1)
    return OutputParity(
        name=name,
        max_abs=float(np.abs(noise).max(initial=0.0)),
        rmse=math.sqrt(float((noise**2).sum()) / elements),
        sqnr_db=_decibels(float((wanted_rows**2).sum()), float((noise**2).sum())),
        cosine=_cosine(wanted_rows, given_rows),
        agreement=_agreement(wanted, given),
        non_finite=int(broken.sum()),
    )


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over rows; two zero vectors are alike, a zero vector and another are not."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    both_zero = ~a.any(axis=1) & ~b.any(axis=1)
    values = np.where(both_zero, 1.0, (a * b).sum(axis=1) / np.where(norms == 0, 1.0, norms))
    return float(np.clip(values, -1.0, 1.0).mean()) if len(values) else 1.0


def scores(array: np.ndarray) -> bool:
    """Whether an output, shape (samples, ...), is a vector of two or more scores a sample."""
    return math.prod(array.shape[1:]) == max(array.shape[1:], default=1) and math.prod(array.shape[1:]) > 1


def _agreement(wanted: np.ndarray, given: np.ndarray) -> float | None:
    if not scores(wanted) or len(wanted) == 0:
        return None
    best, picked = (np.where(np.isnan(a), -np.inf, a).reshape(len(a), -1).argmax(1) for a in (wanted, given))
    return float((best == picked).mean())
