"""A second opinion on Core ML packages: Apple's own Core AI runtime, in a worker process, on Linux.

The program read from the file is translated operation by operation into Core AI's, by code that shares nothing with the evaluator's
operators but the reading of the file. So what the runtime ``coreml`` answers is held against an implementation of Apple's. Core AI is not
Core ML either: it says nothing of latency.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit import worker
from edgekit.plugins import RunRequest, require


@dataclass(frozen=True)
class CoreAI:
    """Runs ``.mlpackage`` folders whose operators are translated; others are an error that names the operator.

    `RunRequest.options` takes ``timeout`` (seconds, 600).

    Attributes:
        measures: What its answers are good for; there is nothing to profile.
        instead: What to do for what it cannot give.
        delegates: It has none.
    """

    name: str = "coreai"
    formats: tuple[str, ...] = ("coreml",)
    extra: str = "coreai"
    measures: str = "numerics, not latency"
    instead: str = "measure on the device: open the package in Xcode and make a performance report"
    delegates: tuple[str, ...] = ()

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample by itself; arguments, result and errors as of the runtime ``coreml``."""
        return dict(self._call("run", request, {name: np.asarray(value) for name, value in inputs.items()})[1])

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Translate the package; see the runtime ``coreml``."""
        return self._call("inspect", request, {})[0]

    def version(self) -> str:
        """``coreai-core 1.0.0b3``."""
        require("coreai", self.extra)
        return f"coreai-core {importlib.metadata.version('coreai-core')}"

    def _call(self, function: str, request: RunRequest, arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        require("coreai", self.extra)
        require("coremltools", "coreml")
        arguments = {"model": str(request.model.resolve())}
        return worker.run(
            f"edgekit_runtimes._coreai.worker:{function}", arguments, arrays, timeout=float(request.options.get("timeout", 600.0))
        )


RUNTIME = CoreAI()
