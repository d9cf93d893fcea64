"""LiteRT (formerly TensorFlow Lite) on this machine, in a worker process that imports numpy and ai-edge-litert only."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from edgekit import worker
from edgekit.devices import Board, Machine, Transport
from edgekit.errors import UsageError
from edgekit.plugins import RunRequest, require
from edgekit.timing import Launch, OpTime, OpTrace, Pace
from edgekit_runtimes import _remote_worker
from edgekit_runtimes._remote_worker import RemoteWorker


@dataclass(frozen=True)
class LiteRt:
    """Runs ``.tflite`` files.

    On another device it is the device's own Python and ai-edge-litert that run them.

    `RunRequest.delegate` is ``xnnpack`` (the default on a phone's CPU), ``none`` (LiteRT's own optimized kernels) or
    ``reference`` (its plain ones, slow and simple). `RunRequest.options` takes ``timeout`` (seconds, 600) and ``batch`` (samples at
    once where the file leaves the batch open, 1).
    """

    name: str = "litert"
    formats: tuple[str, ...] = ("litert",)
    extra: str = "litert"
    device: Transport | None = None

    def refusal(self, machine: Machine) -> str | None:
        """See `edgekit.devices.DeviceRuntime`."""
        return _remote_worker.refusal(machine, "ai-edge-litert")

    def on(self, device: Transport | Board) -> LiteRt:
        """See `edgekit.devices.DeviceRuntime`.

        Raises:
            UsageError: A microcontroller has no Python.
        """
        if not hasattr(device, "push"):
            raise UsageError(f"{device.address} has no Python, so LiteRT's package cannot run there")
        return replace(self, device=cast(Transport, device))

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample by itself, variables reset between them.

        Args:
            request: The model file and how to run it.
            inputs: By signature name, arrays of shape (samples, *input shape without batch) in the file's dtypes.

        Returns:
            Outputs by signature name, of shape (samples, *output shape without batch), in the file's dtypes.

        Raises:
            LoadError: The file cannot be read.
            DataError: The inputs are not the model's.
            ConversionError: LiteRT reads the file and cannot run it.
            WorkerCrashed: LiteRT aborted, hung or ran out of memory.
        """
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        _, outputs = self._call("_litert_worker:run", request, arrays, batch=int(request.options.get("batch", 1)))
        return dict(outputs)

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load and allocate the file; what it holds and what would run where.

        Returns:
            ``inputs`` and ``outputs`` (as `TensorSpec.to_json`); ``ops``: for each its ``index``, ``name``, ``outputs``,
            ``shapes``, ``dtypes``, ``partition`` and ``delegated``; ``arena_bytes`` as far as LiteRT plans it itself, or None.
        """
        return self._call("_litert_worker:inspect", request, {})[0]

    def layers(self, request: RunRequest, inputs: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """What the file computes inside; see `edgekit.plugins.LayeredRuntime`."""
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        values, found = self._call("_litert_worker:layers", request, arrays, layers=list(wanted))
        return {name: found[str(i)] for i, name in enumerate(values["names"])}

    def version(self) -> str:
        """``ai-edge-litert 2.3.0``."""
        if self.device is not None:
            return f"ai-edge-litert {self.device.machine().versions.get('ai-edge-litert', '')} in the device's Python"
        require("ai_edge_litert", self.extra)
        return f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """Time one launch; see `edgekit.timing.TimedRuntime`. Raises what `run` raises."""
        return Launch.from_worker(*self._call("_litert_worker:measure", request, inputs, pace=pace.to_json()))

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """Take per-operator times; see `edgekit.timing.TimedRuntime`. Raises what `run` raises."""
        values, _ = self._call("_litert_trace:trace", request, inputs, seconds=seconds)
        return OpTrace(**{**values, "ops": tuple(OpTime(**op) for op in values["ops"])})

    def _call(
        self, function: str, request: RunRequest, arrays: Mapping[str, np.ndarray], **more: Any
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        timeout = float(request.options.get("timeout", 600.0))
        arguments = {"model": str(request.model.resolve()), "threads": request.threads, "delegate": request.delegate, **more}
        if self.device is not None:
            return RemoteWorker(self.device).run(f"edgekit_runtimes.{function}", arguments, arrays, timeout=timeout)
        require("ai_edge_litert", self.extra)
        return worker.run(f"edgekit_runtimes.{function}", arguments, arrays, timeout=timeout)


RUNTIME = LiteRt()
