"""The last step of a conversion: run what was written, and hold it against what the graph predicts.

The graph's fake-quantize nodes stand for the file's integers, so both must agree up to rounding. A file
that does not load, aborts, hangs or answers something else never becomes an artifact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit.conversion.failures import told
from edgekit.conversion.running import request, run_file
from edgekit.errors import ConversionError
from edgekit.plugins import Emitted, Encoding, Runtime, described
from edgekit.tensors import TensorSpec

TIMEOUT = 300.0
INTEGER_STEPS = 2.5
"""Root mean square, in steps of the output's grid, that integer kernels may differ from the graph by. Each kernel rounds once
where the graph computes in float; the differences spread through the layers after it."""
FLOAT_DECIBELS = 60.0
"""Least ratio of signal to difference for a float file: 1e-3 of the signal."""
ROUNDING_DECIBELS = 25.0
"""The same where kernels round activations, to grids of the graph or by a rule of their own: each may fall on the other side."""

_DEFECT = "report this as a defect"
_NEXT = "edgekit convert --recipe float32 shows whether quantization is the cause; else --emitter vendor tries another converter"


def check(
    runtime: Runtime,
    model: Path,
    emitted: Emitted,
    encoding: Encoding,
    *,
    inputs: Mapping[str, np.ndarray],
    predicted: Mapping[str, np.ndarray],
    rounding: bool = False,
    timeout: float = TIMEOUT,
) -> None:
    """Load and run the written file in worker processes.

    Args:
        runtime: Executes the format.
        model: The file.
        emitted: What the converter says it wrote.
        encoding: What it was asked to write.
        inputs: Samples by input name.
        predicted: The quantized graph's outputs on them, by output name.
        rounding: Whether kernels round activations.
        timeout: Seconds a worker may take.

    Raises:
        ConversionError: The file cannot be run, is not what was asked, or answers something else.
    """
    with told("loading the written file", emitted.ops, _NEXT):
        found = runtime.inspect(request(model, timeout=timeout))
    for side, specs, dtype in (("inputs", emitted.inputs, encoding.input_dtype), ("outputs", emitted.outputs, encoding.output_dtype)):
        _same_edges(side, specs, tuple(TensorSpec.from_json(s) for s in found[side]))
        _asked_dtype(side, specs, dtype)
    with told("running the written file", emitted.ops, _NEXT):
        got = run_file(runtime, request(model, timeout=timeout), inputs=emitted.inputs, outputs=emitted.outputs, samples=inputs)
    for spec in emitted.outputs:
        _agree(spec, got[spec.name], predicted[spec.name], ROUNDING_DECIBELS if rounding else FLOAT_DECIBELS)


def _same_edges(side: str, written: Sequence[TensorSpec], found: Sequence[TensorSpec]) -> None:
    def key(specs: Sequence[TensorSpec]) -> list[tuple[str, tuple[int, ...], str]]:
        return sorted((s.name, s.shape, s.dtype) for s in specs)

    if key(written) != key(found):
        raise ConversionError(f"the written file has {side} {described(found)}", accepted=described(written), next_step=_DEFECT)


def _asked_dtype(side: str, specs: Sequence[TensorSpec], dtype: str) -> None:
    wrong = [s for s in specs if (s.grid is not None or s.dtype.startswith("float")) and s.dtype != dtype]
    if wrong:
        raise ConversionError(f"the written file has {side} {described(wrong)}", accepted=f"{dtype}, as asked", next_step=_DEFECT)


def _agree(spec: TensorSpec, got: np.ndarray, predicted: np.ndarray, decibels: float) -> None:
    if got.shape != predicted.shape:
        raise ConversionError(f"output {spec.name!r} of the written file has shape {list(got.shape)}", accepted=str(list(predicted.shape)))
    if got.dtype.kind in "iub":
        return _agree_exactly(spec, got, predicted)
    broken = int((~np.isfinite(got) & np.isfinite(predicted)).sum())
    if broken:
        raise ConversionError(f"output {spec.name!r} of the written file is NaN or infinite in {broken} elements", next_step=_NEXT)
    noise = np.sqrt(np.mean((got.astype(np.float64) - predicted) ** 2)) if got.size else 0.0
    if spec.grid is not None and spec.grid.dtype in ("int8", "uint8") and noise <= INTEGER_STEPS * max(spec.grid.scale):
        return None
    if _ratio(predicted, noise) < decibels:
        _refuse(spec, got, predicted)
    return None


def _agree_exactly(spec: TensorSpec, got: np.ndarray, predicted: np.ndarray) -> None:
    """Class indices and other choices: a tie may fall on the other side, a few do not matter."""
    if got.size and np.mean(got != predicted) > 0.25:
        _refuse(spec, got, predicted)


def _ratio(predicted: np.ndarray, noise: float) -> float:
    signal = math.sqrt(float(np.mean(predicted.astype(np.float64) ** 2))) if predicted.size else 0.0
    if noise <= 1e-6 * max(signal, 1.0):
        return math.inf
    return 20 * math.log10(signal / noise) if signal > 0 else -math.inf


def _refuse(spec: TensorSpec, got: np.ndarray, predicted: np.ndarray) -> None:
    worst = float(np.abs(got.astype(np.float64) - predicted).max())
    steps = f" ({worst / max(spec.grid.scale):.1f} steps)" if spec.grid is not None else ""
    largest = float(np.abs(predicted).max())
    raise ConversionError(
        f"output {spec.name!r} of the written file differs by {worst:.3g}{steps} from what the graph predicts (values up to {largest:.3g})",
        next_step=_NEXT,
    )
