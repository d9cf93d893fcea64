"""LiteRT (formerly TensorFlow Lite) on this machine, in a worker process that imports numpy and ai-edge-litert only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np

from edgekit.devices import Board, Machine, Transport
from edgekit.errors import UsageError
from edgekit.plugins import RunRequest
from edgekit_runtimes import _remote_worker
from edgekit_runtimes._in_worker import TimedInWorker, arguments, timeout
from edgekit_runtimes._remote_worker import RemoteWorker


@dataclass(frozen=True)
class LiteRt(TimedInWorker):
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
    worker: ClassVar[str] = "edgekit_runtimes._litert_worker"
    package: ClassVar[str] = "ai_edge_litert"

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

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load and allocate the file; what it holds and what would run where.

        Returns:
            ``inputs`` and ``outputs`` (as `TensorSpec.to_json`); ``ops``: for each its ``index``, ``name``, ``outputs``,
            ``shapes``, ``dtypes``, ``partition`` and ``delegated``; ``arena_bytes`` as far as LiteRT plans it itself, or None.
        """
        return super().inspect(request)

    def version(self) -> str:
        """``ai-edge-litert 2.3.0``."""
        if self.device is None:
            return super().version()
        return f"ai-edge-litert {self.device.machine().versions.get('ai-edge-litert', '')} in the device's Python"

    def _call(
        self, function: str, request: RunRequest, arrays: Mapping[str, np.ndarray], **more: Any
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        more["batch"] = int(request.options.get("batch", 1))
        if self.device is None:
            return super()._call(function, request, arrays, **more)
        told = arguments(request, **more)
        return RemoteWorker(self.device).run(f"{self.worker}:{function}", told, arrays, timeout=timeout(request))


RUNTIME = LiteRt()
