"""TensorFlow Lite for Microcontrollers on this machine: its kernels' numerics, which operators it has, and how much arena it needs.

It runs the same portable C++ kernels a microcontroller runs, compiled for x86-64. Its time says nothing of a microcontroller and is not
taken: counts come from ``--on qemu:cortex-m4``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edgekit import plugins
from edgekit.plugins import RunRequest
from edgekit_runtimes._in_worker import InWorker


@dataclass(frozen=True)
class TfliteMicro(InWorker):
    """Runs ``.tflite`` files on tflite-micro.

    `RunRequest.threads` and `RunRequest.delegate` mean nothing here: one thread, one set of kernels. `RunRequest.options` takes
    ``timeout`` (seconds, 600).
    """

    name: str = "tflite_micro"
    formats: tuple[str, ...] = ("litert",)
    extra: str = "microcontrollers"
    worker: ClassVar[str] = "edgekit_runtimes._tflite_micro_worker"
    package: ClassVar[str] = "tflite_micro"
    needs: ClassVar[Mapping[str, str]] = {"ai_edge_litert": "litert"}

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load and allocate the file; what it holds and what memory it needs.

        Returns:
            ``inputs`` and ``outputs`` (as `TensorSpec.to_json`); ``ops`` (``index``, ``name``, ``delegated``: never);
            ``arena_bytes``: the smallest arena the model allocates and runs in, found by bisection; ``arena``: tflite-micro's own
            record of it, in bytes by what they are for, with the ``head`` (activations) and the ``tail`` (what persists). Pointers
            have 8 bytes here and 4 on a microcontroller, so its tail is smaller there, and its arena too.
        """
        return super().inspect(request)

    def _call(
        self, function: str, request: RunRequest, arrays: Mapping[str, np.ndarray], **more: Any
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return super()._call(function, request, arrays, reader=plugins.load("converters", "litert").reader, **more)


RUNTIME = TfliteMicro()
