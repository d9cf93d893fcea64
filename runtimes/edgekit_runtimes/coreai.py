"""A second opinion on Core ML packages: Apple's own Core AI runtime, in a worker process, on Linux.

The program read from the file is translated operation by operation into Core AI's, by code that shares nothing with the evaluator's
operators but the reading of the file. So what the runtime ``coreml`` answers is held against an implementation of Apple's. Core AI is not
Core ML either: it says nothing of latency.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from edgekit.plugins import require
from edgekit_runtimes._in_worker import InWorker


@dataclass(frozen=True)
class CoreAI(InWorker):
    """Runs ``.mlpackage`` folders whose operators are translated; others are an error that names the operator.

    Arguments, results and errors are those of the runtime ``coreml``. `RunRequest.options` takes ``timeout`` (seconds, 600).

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
    worker: ClassVar[str] = "edgekit_runtimes._coreai.worker"
    package: ClassVar[str] = "coreai"
    needs: ClassVar[Mapping[str, str]] = {"coremltools": "coreml"}

    def version(self) -> str:
        """``coreai-core 1.0.0b3``."""
        require("coreai", self.extra)
        return f"coreai-core {importlib.metadata.version('coreai-core')}"


RUNTIME = CoreAI()
