"""MNN on this machine's CPU, in a worker process that imports numpy and MNN only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekit import worker
from edgekit.plugins import RunRequest
from edgekit_runtimes._in_worker import TimedInWorker, arguments, named, timeout


@dataclass(frozen=True)
class Mnn(TimedInWorker):
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
    convolution_error: ClassVar[float] = 2.0**-13
    """Measured on 3x3 and 5x5 kernels of 32 to 128 channels over 28 to 56 pixels: 0.9e-4 to 1.5e-4; PyTorch's is 2e-7."""

    def weights(self, request: RunRequest) -> dict[str, np.ndarray]:
        """The weights that the file holds as integers, by the names of their operators, as (rows, columns) of what they stand for.

        See `edgekit.plugins.ReadsBack`. They are read without MNN, in a worker: MNN gives nobody its constants.
        """
        return named(worker.run("edgekit_converters.mnn.reader:weights", arguments(request), timeout=timeout(request)))


RUNTIME = Mnn()
