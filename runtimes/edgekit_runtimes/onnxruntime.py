"""ONNX Runtime on this machine's CPU, in a worker process that imports numpy, onnx and onnxruntime only.

It computes what a file's Q/DQ nodes say, which is what TensorRT's integer kernels compute up to rounding: good for
numerics on any machine, and never a statement about a GPU's speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekit.plugins import RunRequest
from edgekit_runtimes._in_worker import TimedInWorker, named


@dataclass(frozen=True)
class OnnxRuntime(TimedInWorker):
    """Runs ``.onnx`` files.

    `RunRequest.delegate` is ``xnnpack`` for the engine's default (all graph optimizations), ``none`` for its kernels without
    fusions, or ``reference`` for onnx' own reference evaluator (slow, plain numpy). `RunRequest.options` takes ``timeout``
    (seconds, 600).
    """

    name: str = "onnxruntime"
    formats: tuple[str, ...] = ("onnx", "tensorrt")
    extra: str = "jetson"
    worker: ClassVar[str] = "edgekit_runtimes._onnxruntime_worker"
    package: ClassVar[str] = "onnxruntime"
    needs: ClassVar[Mapping[str, str]] = {"onnx": "jetson"}
    kernels: ClassVar[Mapping[str, str]] = {"xnnpack": "optimized graph", "none": "graph as written", "reference": "reference evaluator"}

    def weights(self, request: RunRequest) -> dict[str, np.ndarray]:
        """The file's real constants by name, dequantized; see `edgekit.plugins.ReadsBack`."""
        return named(self._call("weights", request, {}))


RUNTIME = OnnxRuntime()
