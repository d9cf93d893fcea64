"""Never trust the writer: read a file's constants back, and hold each against the graph's, bit for bit.

A vendor's serializer is known to write wrong weights for layers that it says it skipped. Running the file finds a weight that matters on
the samples at hand; this finds every one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgekit.conversion.failures import told
from edgekit.conversion.running import request
from edgekit.errors import ConversionError
from edgekit.plugins import Emitted, EmittedWeight, Runtime

SMALL = 16
"""Elements below which a constant may be the converter's own: an epsilon, a scalar, a shape. Zeros may too: the bias of a layer without."""

_NEXT = "report this as a defect: the file was thrown away"


def check_weights(runtime: Runtime, model: Path, emitted: Emitted, timeout: float = 300.0) -> None:
    """Read the written file with the runtime and compare; nothing to do for a converter that does not list its weights.

    Raises:
        ConversionError: A constant is missing, is not what the graph says, or is in the file without anybody having vouched for it.
    """
    if not emitted.weights or not hasattr(runtime, "weights"):
        return
    with told("reading the written file back", emitted.ops, _NEXT):
        found = runtime.weights(request(model, timeout=timeout))
    compare_weights(emitted.weights, found)


def compare_weights(wanted: tuple[EmittedWeight, ...], found: Mapping[str, np.ndarray]) -> None:
    """Hold what was read against what was written.

    Raises:
        ConversionError: As `check_weights`.
    """
    wrong = [(weight, reason) for weight in wanted if (reason := _difference(weight.values, found.get(weight.name)))]
    if wrong:
        weight, reason = wrong[0]
        others = f", and {len(wrong) - 1} more constants are wrong" if len(wrong) > 1 else ""
        raise ConversionError(
            f"the written file does not hold the model's weights: constant {weight.name!r} {reason}{others}",
            module=weight.module or None,
            next_step=_NEXT,
        )
    listed = {weight.name for weight in wanted}
    strange = [n for n, array in found.items() if n not in listed and array.dtype.kind == "f" and array.size >= SMALL and array.any()]
    if strange:
        raise ConversionError(f"the written file holds the constant {strange[0]!r}, which is none of the model's", next_step=_NEXT)


def _difference(wanted: np.ndarray, found: np.ndarray | None) -> str | None:
    """What is wrong with a constant, or None."""
    if found is None:
        return "is missing"
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return f"is {found.dtype}{list(found.shape)}, not {wanted.dtype}{list(wanted.shape)}"
    if np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f"):
        return None
    differ = found != wanted
    gap = np.abs(found.astype(np.float64) - wanted.astype(np.float64))[differ].max()
    return f"differs in {int(differ.sum()):,} of {differ.size:,} elements, by up to {gap:.3g}"
