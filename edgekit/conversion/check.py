"""The last step of a conversion: run what was written, and hold it against what the graph predicts.

The graph's fake-quantize nodes stand for the file's integers, so both must agree up to rounding. A file
that does not load, aborts, hangs or answers something else never becomes an artifact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit.conversion.expected import Expected, distance
from edgekit.conversion.failures import Untraced, told
from edgekit.conversion.running import request, run_file
from edgekit.errors import ConversionError
from edgekit.plugins import Emitted, Encoding, RunRequest, Runtime, described
from edgekit.tensors import TensorSpec

TIMEOUT = 300.0

_DEFECT = "report this as a defect"
NEXT = "edgekit convert --recipe float32 shows whether quantization is the cause; --emitter vendor tries another converter"
_OVERFLOW = (
    "--compute float32, where the file computes in half precision: its largest number is 65504; or --calibration with typical inputs, "
    f"where it was checked on noise; else {NEXT}"
)


class Disagrees(Untraced):
    """The file runs and answers something else than the graph predicts."""


def check(
    runtime: Runtime,
    model: Path,
    emitted: Emitted,
    encoding: Encoding,
    *,
    inputs: Mapping[str, np.ndarray],
    expected: Expected,
    timeout: float = TIMEOUT,
) -> None:
    """Load and run the written file in worker processes.

    Args:
        runtime: Executes the format.
        model: The file.
        emitted: What the converter says it wrote.
        encoding: What it was asked to write.
        inputs: Samples by input name.
        expected: What the final graph answers on them.
        timeout: Seconds a worker may take.

    Raises:
        ConversionError: The file cannot be run or is not what was asked.
        Disagrees: It answers something else.
    """
    with told("loading the written file", emitted.ops, NEXT):
        found = runtime.inspect(request(model, timeout=timeout))
    for side, specs, dtype in (("inputs", emitted.inputs, encoding.input_dtype), ("outputs", emitted.outputs, encoding.output_dtype)):
        _same_edges(side, specs, tuple(TensorSpec.from_json(s) for s in found[side]))
        _asked_dtype(side, specs, dtype)
    check_answers(runtime, request(model, timeout=timeout), emitted, inputs=inputs, expected=expected)


def check_answers(
    runtime: Runtime, asked: RunRequest, emitted: Emitted, *, inputs: Mapping[str, np.ndarray], expected: Expected, where: str = ""
) -> None:
    """Run the written file and compare its answers.

    Args:
        runtime: Executes the format.
        asked: The file, and how to run it.
        emitted: What the converter says it wrote, of the shapes that `inputs` have.
        inputs: Samples by input name.
        expected: What the final graph answers on them.
        where: What to add to errors on running it.

    Raises:
        ConversionError: The file cannot be run.
        Disagrees: It answers something else.
    """
    with told(f"running the written file{where}", emitted.ops, NEXT):
        got = run_file(runtime, asked, inputs=emitted.inputs, outputs=emitted.outputs, samples=inputs)
    for spec in emitted.outputs:
        _agree(spec, got[spec.name], expected.outputs[spec.name], expected.tolerance[spec.name])


def _same_edges(side: str, written: Sequence[TensorSpec], found: Sequence[TensorSpec]) -> None:
    def key(specs: Sequence[TensorSpec]) -> list[tuple[str, tuple[int, ...], str]]:
        return sorted((s.name, s.shape, s.dtype) for s in specs)

    if key(written) != key(found):
        raise ConversionError(f"the written file has {side} {described(found)}", accepted=described(written), next_step=_DEFECT)


def _asked_dtype(side: str, specs: Sequence[TensorSpec], dtype: str) -> None:
    wrong = [s for s in specs if (s.grid is not None or s.dtype.startswith("float")) and s.dtype != dtype]
    if wrong:
        raise ConversionError(f"the written file has {side} {described(wrong)}", accepted=f"{dtype}, as asked", next_step=_DEFECT)


def _agree(spec: TensorSpec, got: np.ndarray, predicted: np.ndarray, tolerance: float) -> None:
    if got.shape != predicted.shape:
        raise ConversionError(f"output {spec.name!r} of the written file has shape {list(got.shape)}", accepted=str(list(predicted.shape)))
    broken = int((~np.isfinite(got) & np.isfinite(predicted)).sum())
    if broken:
        raise Disagrees(
            f"output {spec.name!r} of the written file is NaN or infinite in {broken} of {got.size} elements", next_step=_OVERFLOW
        )
    apart = distance(got, predicted)
    if not apart <= tolerance:
        steps = f" ({apart / max(spec.grid.scale):.1f} steps)" if spec.grid is not None else ""
        unit = "of its elements" if got.dtype.kind in "iub" else "root mean square"
        raise Disagrees(
            f"output {spec.name!r} of the written file differs from what the graph predicts by {apart:.3g}{steps} {unit}",
            accepted=f"{tolerance:.3g}, which rounding explains",
            next_step=NEXT,
        )
