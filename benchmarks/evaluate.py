"""What a ``.tflite`` file is and how right it is: size, operators, accuracy on labelled images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekit import plugins
from edgekit.plugins import RunRequest
from edgekit.tensors import TensorSpec
from edgekit.verification.parity import compare

FLOAT_FREE = {"int8", "uint8", "int16", "int32", "int64", "bool"}


@dataclass(frozen=True)
class FileFacts:
    """A model file.

    Attributes:
        bytes: Its size.
        ops: Operator name to count.
        float_ops: Operators that touch a float tensor.
        accuracy: Top-1 on the test images, or None without labels.
        correct: How many were right, and of how many.
        agreement: Share of the test images on which it and the float model choose the same class, or None.
        sqnr_db: Signal to quantization noise ratio of its output against the float model's, or None.
    """

    bytes: int
    ops: dict[str, int]
    float_ops: int
    accuracy: float | None = None
    correct: tuple[int, int] | None = None
    agreement: float | None = None
    sqnr_db: float | None = None


def facts(model: Path, test: Path | None) -> FileFacts:
    """Inspect `model`, and run it on the arrays ``x`` and ``y`` of `test` if given; ``wanted``, if there, is the float model's output."""
    runtime = plugins.load("runtimes", "litert")
    seen = runtime.inspect(RunRequest(model, delegate="none"))
    ops = dict(Counter(op["name"] for op in seen["ops"]))
    floats = sum(not set(op["dtypes"]) <= FLOAT_FREE for op in seen["ops"])
    if test is None:
        return FileFacts(model.stat().st_size, ops, floats)
    with np.load(test, allow_pickle=False) as arrays:
        images, labels, wanted = arrays["x"], arrays["y"], arrays.get("wanted")
    entry, last = (TensorSpec.from_json(seen[side][0]) for side in ("inputs", "outputs"))
    (outputs,) = runtime.run(RunRequest(model), {entry.name: encoded(images, entry)}).values()
    rows = outputs.reshape(len(labels), -1)
    right = int((rows.argmax(1) == labels).sum())
    found = FileFacts(model.stat().st_size, ops, floats, right / len(labels), (right, len(labels)))
    if wanted is None:
        return found
    (parity,) = compare({last.name: wanted}, {last.name: last.grid.to_reals(rows) if last.grid else rows})
    return replace(found, agreement=parity.agreement, sqnr_db=parity.sqnr_db)


def encoded(values: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Float samples in the file's own input dtype."""
    if spec.grid is None:
        return values.astype(spec.dtype)
    return spec.grid.to_integers(values)
