"""A library whose sessions run in a worker process on this machine: what such runtimes share."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from edgekit import worker
from edgekit.plugins import RunRequest, require
from edgekit.timing import Launch, OpTime, OpTrace, Pace


class InWorker:
    """Calls the functions of a worker module; see `edgekit.plugins.Runtime` and `edgekit.timing.TimedRuntime`.

    Attributes:
        extra: That installs the library.
        worker: The module whose functions run in the worker.
        package: The library.
        needs: Further packages the worker imports.
    """

    extra: str
    worker: ClassVar[str]
    package: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample.

        Args:
            request: The model file and how to run it.
            inputs: By name, arrays of shape (samples, *input shape without batch) in the file's dtypes.

        Returns:
            Outputs by name, of shape (samples, *output shape without batch), in the file's dtypes.

        Raises:
            LoadError: The file cannot be read.
            DataError: The inputs are not the model's.
            ConversionError: The library reads the file and cannot run it.
            WorkerCrashed: It aborted, hung or ran out of memory.
        """
        return dict(self._call("run", request, _arrays(inputs))[1])

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load the file.

        Returns:
            ``inputs`` and ``outputs`` (as `TensorSpec.to_json`); ``ops``: for each at least its ``index``, ``name`` and
            ``delegated`` (always false: there is no delegate).
        """
        return self._call("inspect", request, {})[0]

    def layers(self, request: RunRequest, inputs: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """What the file computes inside, as reals; see `edgekit.plugins.LayeredRuntime`."""
        values, arrays = self._call("layers", request, _arrays(inputs), layers=list(wanted))
        return {name: arrays[str(i)] for i, name in enumerate(values["names"])}

    def version(self) -> str:
        """The library's name and version."""
        require(self.package, self.extra)
        return f"{self.package} {importlib.metadata.version(self.package)}"

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """Time one launch on this machine's CPU. Raises what `run` raises."""
        return Launch.from_worker(*self._call("measure", request, inputs, pace=pace.to_json()))

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """Take per-operator times. Raises what `run` raises."""
        values, _ = self._call("trace", request, inputs, seconds=seconds)
        return OpTrace(**{**values, "ops": tuple(OpTime(**op) for op in values["ops"])})

    def _call(
        self, function: str, request: RunRequest, arrays: Mapping[str, np.ndarray], **more: Any
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        for package in (*self.needs, self.package):
            require(package, self.extra)
        arguments = {"model": str(request.model.resolve()), "threads": request.threads, "delegate": request.delegate, **more}
        timeout = float(request.options.get("timeout", 600.0))
        return worker.run(f"{self.worker}:{function}", arguments, arrays, timeout=timeout)


def _arrays(inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in inputs.items()}
