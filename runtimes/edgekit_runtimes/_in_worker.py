"""A library whose sessions run in a worker process on this machine: what such runtimes share, by how much their library can tell."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from edgekit import worker
from edgekit.plugins import RunRequest, require
from edgekit.timing import Launch, OpTime, OpTrace, Pace


class InWorker:
    """Calls the functions of a worker module; see `edgekit.plugins.Runtime`.

    Attributes:
        extra: That installs the library.
        worker: The module whose functions run in the worker.
        package: The library.
        needs: Further packages the worker imports, each with the extra that installs it.
    """

    extra: str
    worker: ClassVar[str]
    package: ClassVar[str]
    needs: ClassVar[Mapping[str, str]] = {}

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample by itself, variables reset between them.

        Args:
            request: The model file and how to run it.
            inputs: By name (in a file with a signature, the signature's), arrays of shape (samples, *input shape without batch) in the
                file's dtypes.

        Returns:
            Outputs by name, of shape (samples, *output shape without batch), in the file's dtypes.

        Raises:
            LoadError: The file cannot be read.
            DataError: The inputs are not the model's.
            ConversionError: The library reads the file and cannot run it.
            WorkerCrashed: It aborted, hung or ran out of memory.
        """
        return self._call("run", request, _arrays(inputs))[1]

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load the file.

        Returns:
            ``inputs`` and ``outputs`` (as `TensorSpec.to_json`); ``ops``: for each at least its ``index``, ``name`` and
            ``delegated`` (false where there is no delegate).
        """
        return self._call("inspect", request, {})[0]

    def version(self) -> str:
        """The library's name and version: ``ai-edge-litert 2.3.0``."""
        require(self.package, self.extra)
        return f"{self.package.replace('_', '-')} {importlib.metadata.version(self.package)}"

    def _call(
        self, function: str, request: RunRequest, arrays: Mapping[str, np.ndarray], **more: Any
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        for package, extra in (*self.needs.items(), (self.package, self.extra)):
            require(package, extra)
        return worker.run(f"{self.worker}:{function}", arguments(request, **more), arrays, timeout=timeout(request))


class LayeredInWorker(InWorker):
    """A library that also tells what a file computes inside; see `edgekit.plugins.LayeredRuntime`."""

    def layers(self, request: RunRequest, inputs: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """What the file computes inside, as reals."""
        return named(self._call("layers", request, _arrays(inputs), layers=list(wanted)))


class TimedInWorker(LayeredInWorker):
    """A library whose times mean something; see `edgekit.timing.TimedRuntime`."""

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """Time one launch on a CPU. Raises what `run` raises."""
        return Launch.from_worker(*self._call("measure", request, inputs, pace=pace.to_json()))

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """Take per-operator times. Raises what `run` raises."""
        values, _ = self._call("trace", request, inputs, seconds=seconds)
        return OpTrace(**{**values, "ops": tuple(OpTime(**op) for op in values["ops"])})


def arguments(request: RunRequest, **more: Any) -> dict[str, Any]:
    """What a worker is told of a request."""
    return {"model": str(request.model.resolve()), "threads": request.threads, "delegate": request.delegate, **more}


def timeout(request: RunRequest) -> float:
    """Seconds a worker may take."""
    return float(request.options.get("timeout", 600.0))


def named(answer: tuple[Mapping[str, Any], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays whose names may be no file's: they come by number, with a list of names."""
    values, arrays = answer
    return {name: arrays[str(i)] for i, name in enumerate(values["names"])}


def _arrays(inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in inputs.items()}
