"""ONNX Runtime on this machine's CPU, in a worker process that imports numpy, onnx and onnxruntime only.

It computes what a file's Q/DQ nodes say, which is what TensorRT's integer kernels compute up to rounding: good for
numerics on any machine, and never a statement about a GPU's speed.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit import worker
from edgekit.plugins import RunRequest, require
from edgekit.timing import Launch, OpTime, OpTrace, Pace


@dataclass(frozen=True)
class OnnxRuntime:
    """Runs ``.onnx`` files.

    `RunRequest.delegate` is ``xnnpack`` for the engine's default (all graph optimizations), ``none`` for its kernels without
    fusions, or ``reference`` for onnx' own reference evaluator (slow, plain numpy). `RunRequest.options` takes ``timeout``
    (seconds, 600).
    """

    name: str = "onnxruntime"
    formats: tuple[str, ...] = ("onnx", "tensorrt")
    extra: str = "jetson"

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample, a batch of the model at a time.

        Args:
            request: The model file and how to run it.
            inputs: By name, arrays of shape (samples, *input shape without batch) in the file's dtypes.

        Returns:
            Outputs by name, of shape (samples, *output shape without batch), in the file's dtypes.

        Raises:
            LoadError: The file cannot be read.
            DataError: The inputs are not the model's.
            ConversionError: ONNX Runtime reads the file and cannot run it.
            WorkerCrashed: It aborted, hung or ran out of memory.
        """
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        return dict(self._call("run", request, arrays)[1])

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load the file; what it holds.

        Returns:
            ``inputs`` and ``outputs`` (as `TensorSpec.to_json`); ``ops``: for each its ``index``, ``name``, ``node``, ``outputs``
            and ``delegated`` (always false: there is no delegate).
        """
        return self._call("inspect", request, {})[0]

    def layers(self, request: RunRequest, inputs: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """What the file computes inside; see `edgekit.plugins.LayeredRuntime`."""
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        values, found = self._call("layers", request, arrays, layers=list(wanted))
        return {name: found[str(i)] for i, name in enumerate(values["names"])}

    def version(self) -> str:
        """``onnxruntime 1.31.1``."""
        require("onnxruntime", self.extra)
        return f"onnxruntime {importlib.metadata.version('onnxruntime')}"

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """Time one launch on this machine's CPU; see `edgekit.timing.TimedRuntime`. Raises what `run` raises."""
        return Launch.from_worker(*self._call("measure", request, inputs, pace=pace.to_json()))

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """Take per-operator times; see `edgekit.timing.TimedRuntime`. Raises what `run` raises."""
        values, _ = self._call("trace", request, inputs, seconds=seconds)
        return OpTrace(**{**values, "ops": tuple(OpTime(**op) for op in values["ops"])})

    def _call(
        self, function: str, request: RunRequest, arrays: Mapping[str, np.ndarray], **more: Any
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        require("onnx", self.extra)
        require("onnxruntime", self.extra)
        arguments = {"model": str(request.model.resolve()), "threads": request.threads, "delegate": request.delegate, **more}
        timeout = float(request.options.get("timeout", 600.0))
        return worker.run(f"edgekit_runtimes._onnxruntime_worker:{function}", arguments, arrays, timeout=timeout)


RUNTIME = OnnxRuntime()
