"""TensorFlow Lite for Microcontrollers on this machine: its kernels' numerics, which operators it has, and how much arena it needs.

It runs the same portable C++ kernels a microcontroller runs, compiled for x86-64. Its time says nothing of a microcontroller and is not
taken: counts come from ``--on qemu:cortex-m4``.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit import plugins, worker
from edgekit.plugins import RunRequest, require


@dataclass(frozen=True)
class TfliteMicro:
    """Runs ``.tflite`` files on tflite-micro.

    `RunRequest.threads` and `RunRequest.delegate` mean nothing here: one thread, one set of kernels. `RunRequest.options` takes
    ``timeout`` (seconds, 600).
    """

    name: str = "tflite_micro"
    formats: tuple[str, ...] = ("litert",)
    extra: str = "microcontrollers"

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample by itself, variables reset between them.

        Args:
            request: The model file.
            inputs: By signature name, arrays of shape (samples, *input shape without batch) in the file's dtypes.

        Returns:
            Outputs by signature name, of shape (samples, *output shape without batch), in the file's dtypes.

        Raises:
            LoadError: The file cannot be read.
            DataError: The inputs are not the model's.
            ConversionError: tflite-micro has no kernel for an operator, or one refuses.
            WorkerCrashed: It aborted or hung.
        """
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        return dict(self._call("run", request, arrays)[1])

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load and allocate the file; what it holds and what memory it needs.

        Returns:
            ``inputs`` and ``outputs`` (as `TensorSpec.to_json`); ``ops`` (``index``, ``name``, ``delegated``: never);
            ``arena_bytes``: the smallest arena the model allocates and runs in, found by bisection; ``arena``: tflite-micro's own
            record of it, in bytes by what they are for, with the ``head`` (activations) and the ``tail`` (what persists). Pointers
            have 8 bytes here and 4 on a microcontroller, so its tail is smaller there, and its arena too.
        """
        return self._call("inspect", request, {})[0]

    def version(self) -> str:
        """``tflite-micro 0.dev20261023182759``."""
        require("tflite_micro", self.extra)
        return f"tflite-micro {importlib.metadata.version('tflite-micro')}"

    def _call(self, function: str, request: RunRequest, arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        require("tflite_micro", self.extra)
        require("ai_edge_litert", "litert")
        arguments = {"model": str(request.model.resolve()), "reader": plugins.load("converters", "litert").reader}
        timeout = float(request.options.get("timeout", 600.0))
        return worker.run(f"edgekit_runtimes._tflite_micro_worker:{function}", arguments, arrays, timeout=timeout)


RUNTIME = TfliteMicro()
