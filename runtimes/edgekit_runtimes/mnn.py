"""MNN on this machine's CPU, in a worker process that imports numpy and MNN only."""

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
class Mnn:
    """Runs ``.mnn`` files, in MNN's high precision: float32 where the file does not say int8.

    `RunRequest.delegate` makes no difference: MNN has one set of kernels for a CPU. `RunRequest.options` takes ``timeout``
    (seconds, 600).
    """

    name: str = "mnn"
    formats: tuple[str, ...] = ("mnn",)
    extra: str = "mnn"

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample by itself.

        Args:
            request: The model file and how to run it.
            inputs: By name, arrays of shape (samples, *input shape without batch) in the file's dtypes.

        Returns:
            Outputs by name, of shape (samples, *output shape without batch), in the file's dtypes.

        Raises:
            LoadError: The file cannot be read.
            DataError: The inputs are not the model's.
            ConversionError: MNN reads the file and cannot run it.
            WorkerCrashed: MNN aborted, hung or ran out of memory.
        """
        return dict(self._call("run", request, {name: np.asarray(value) for name, value in inputs.items()})[1])

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load and run the file once.

        Returns:
            ``inputs`` and ``outputs`` (as `TensorSpec.to_json`); ``ops``: for each operator that ran its ``index``, ``name``
            and ``delegated`` (always false: there is no delegate).
        """
        return self._call("inspect", request, {})[0]

    def layers(self, request: RunRequest, inputs: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """What the file's operators of these names compute, as reals; see `edgekit.plugins.LayeredRuntime`."""
        values, arrays = self._call("layers", request, {name: np.asarray(v) for name, v in inputs.items()}, layers=list(wanted))
        return {name: arrays[str(i)] for i, name in enumerate(values["names"])}

    def version(self) -> str:
        """``MNN 3.6.1``."""
        require("MNN", self.extra)
        return f"MNN {importlib.metadata.version('MNN')}"

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
        require("MNN", self.extra)
        arguments = {"model": str(request.model.resolve()), "threads": request.threads, "delegate": request.delegate, **more}
        timeout = float(request.options.get("timeout", 600.0))
        return worker.run(f"edgekit_runtimes._mnn_worker:{function}", arguments, arrays, timeout=timeout)


RUNTIME = Mnn()
