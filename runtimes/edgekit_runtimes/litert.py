"""LiteRT (formerly TensorFlow Lite) on this machine, in a worker process that imports numpy and ai-edge-litert only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit import worker
from edgekit.plugins import RunRequest, require

_WORKER = "edgekit_runtimes._litert_worker"


@dataclass(frozen=True)
class LiteRt:
    """Runs ``.tflite`` files. `RunRequest.delegate` is one of

    * ``xnnpack``: the default delegate of a phone's CPU,
    * ``none``: LiteRT's own optimized kernels,
    * ``reference``: its plain kernels, slow and simple.

    `RunRequest.options` takes ``timeout`` (seconds, 600).
    """

    name: str = "litert"
    formats: tuple[str, ...] = ("litert",)
    extra: str = "litert"

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
        _, outputs = self._call("run", request, arrays)
        return dict(outputs)

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load and allocate the file; what it holds and what would run where.

        Returns:
            ``inputs`` and ``outputs`` (as `TensorSpec.to_json`), and ``ops``: for each its ``index``, ``name``, ``outputs``,
            ``shapes``, ``dtypes`` and ``delegated``.
        """
        return self._call("inspect", request, {})[0]

    def _call(self, function: str, request: RunRequest, arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        require("ai_edge_litert", self.extra)
        arguments = {"model": str(request.model.resolve()), "threads": request.threads, "delegate": request.delegate}
        return worker.run(f"{_WORKER}:{function}", arguments, arrays, timeout=float(request.options.get("timeout", 600.0)))


RUNTIME = LiteRt()
