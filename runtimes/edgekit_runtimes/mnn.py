"""MNN on this machine's CPU, in a worker process that imports numpy and MNN only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from edgekit_runtimes._in_worker import InWorker


@dataclass(frozen=True)
class Mnn(InWorker):
    """Runs ``.mnn`` files, in MNN's high precision: float32 where the file does not say int8.

    `RunRequest.delegate` makes no difference: MNN has one set of kernels for a CPU. `RunRequest.options` takes ``timeout``
    (seconds, 600).
    """

    name: str = "mnn"
    formats: tuple[str, ...] = ("mnn",)
    extra: str = "mnn"
    worker: ClassVar[str] = "edgekit_runtimes._mnn_worker"
    package: ClassVar[str] = "MNN"
    kernels: ClassVar[Mapping[str, str]] = {}


RUNTIME = Mnn()
