"""What a ``.tflite`` file is and how right it is: size, operators, accuracy on labelled images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit import plugins
from edgekit.plugins import RunRequest
from edgekit.tensors import TensorSpec

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
    """

    bytes: int
    ops: dict[str, int]
    float_ops: int
    accuracy: float | None = None
    correct: tuple[int, int] | None = None


def facts(model: Path, test: Path | None) -> FileFacts:
    """Inspect `model`, and run it on the arrays ``x`` and ``y`` of `test` if given."""
    runtime = plugins.load("runtimes", "litert")
    seen = runtime.inspect(RunRequest(model, delegate="none"))
    ops = dict(Counter(op["name"] for op in seen["ops"]))
    floats = sum(not set(op["dtypes"]) <= FLOAT_FREE for op in seen["ops"])
    if test is None:
        return FileFacts(model.stat().st_size, ops, floats)
    with np.load(test, allow_pickle=False) as arrays:
        images, labels = arrays["x"], arrays["y"]
    entry = TensorSpec.from_json(seen["inputs"][0])
    (outputs,) = runtime.run(RunRequest(model), {entry.name: encoded(images, entry)}).values()
    right = int((outputs.reshape(len(labels), -1).argmax(1) == labels).sum())
    return FileFacts(model.stat().st_size, ops, floats, right / len(labels), (right, len(labels)))


def encoded(values: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Float samples in the file's own input dtype."""
    if spec.grid is None:
        return values.astype(spec.dtype)
    return spec.grid.to_integers(values)
