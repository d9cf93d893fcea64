"""The Core ML reference evaluator: what a ``.mlpackage`` says, computed with torch in a worker process.

It answers on any machine what numbers a file stands for, in the precision the file declares. It is not Core ML: it says nothing of
latency, of what a Neural Engine accumulates in half precision, or of what a compiler fuses.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edgekit.plugins import RunRequest, require
from edgekit_runtimes._coreml_macos import OnMac
from edgekit_runtimes._in_worker import LayeredInWorker

__all__ = ["RUNTIME", "CoreML", "OnMac"]


@dataclass(frozen=True)
class CoreML(LayeredInWorker):
    """Evaluates ``.mlpackage`` folders.

    `RunRequest.delegate` means nothing to it. `RunRequest.options` takes ``timeout`` (seconds, 600).

    Attributes:
        measures: What its answers are good for, as verdicts say it; there is nothing to profile.
        instead: What to do for what it cannot give.
        delegates: It has none.
    """

    name: str = "coreml"
    formats: tuple[str, ...] = ("coreml",)
    extra: str = "coreml"
    measures: str = "numerics, not latency"
    instead: str = "measure on the device: open the package in Xcode and make a performance report"
    delegates: tuple[str, ...] = ()
    worker: ClassVar[str] = "edgekit_runtimes._coreml.worker"
    package: ClassVar[str] = "coremltools"

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample, a batch of the model at a time.

        Args:
            request: The package.
            inputs: By feature name, arrays of shape (samples, *input shape without batch) in the file's dtypes. An image takes pixels
                0…255, uint8 or float32 of shape (samples, channels, height, width), in the colour order that the file states.

        Returns:
            Outputs by feature name, of shape (samples, *output shape without batch), in the file's dtypes. Of a classifier the
            probabilities, and beside them the labels as strings, of shape (samples,).

        Raises:
            LoadError: The package cannot be read.
            DataError: The inputs are not the model's.
            ConversionError: The evaluator lacks an operator, or an operation cannot be computed.
            WorkerCrashed: It hung or ran out of memory.
        """
        return super().run(request, inputs)

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Load the package.

        Returns:
            ``inputs`` and ``outputs`` (as `TensorSpec.to_json`); ``ops``: for each its ``index``, ``name``, ``outputs`` and
            ``delegated`` (None: the device decides). Constants are no operators.
        """
        return super().inspect(request)

    def weights(self, request: RunRequest) -> dict[str, np.ndarray]:
        """Every constant that an operation uses, by its name in the program, decompressed. Raises what `run` raises."""
        return self._call("weights", request, {})[1]

    def version(self) -> str:
        """``coremltools 9.0 messages, torch 2.13.0``."""
        require("coremltools", self.extra)
        return f"coremltools {importlib.metadata.version('coremltools')} messages, torch {importlib.metadata.version('torch')}"


RUNTIME = CoreML()
