"""TensorRT on a Jetson or another board with an NVIDIA GPU, through its own ``trtexec``: builds the engine there, runs it, times it.

An engine works on the GPU and the version of TensorRT that built it and on no other. It is built once for each, kept here under a
digest of all that, and sent to the device like any file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from edgekit import plugins
from edgekit.devices import Board, Machine, Transport
from edgekit.errors import UsageError
from edgekit.plugins import RunRequest
from edgekit.timing import Launch, OpTime, OpTrace, Pace, Timings, median_half_width
from edgekit_runtimes._trtexec import engines
from edgekit_runtimes._trtexec.command import PROFILE, TIMES, Measuring, layers
from edgekit_runtimes._trtexec.transcript import LayerTime

SOURCE = "trtexec --separateProfileRun on the device: mean of each layer; TensorRT fuses operators into layers"


@dataclass(frozen=True)
class Trtexec:
    """Runs ``.onnx`` files as engines of TensorRT.

    `RunRequest.options` takes ``timeout`` (seconds, 600) and ``build``, the command that the artifact's manifest gives for building the
    engine. `RunRequest.delegate` and `RunRequest.threads` mean nothing on a GPU.

    Attributes:
        device: Where; there is nothing to run engines on without one.
    """

    name: str = "trtexec"
    formats: tuple[str, ...] = ("tensorrt",)
    extra: str = "jetson"
    device: Transport | None = None
    kernels: ClassVar[Mapping[str, str]] = {}

    def version(self) -> str:
        """``TensorRT 10.3.0.30-1+cuda12.5, trtexec``."""
        return f"TensorRT {self._there().machine().versions.get('TensorRT', 'of unknown version')}, trtexec"

    def refusal(self, machine: Machine) -> str | None:
        """See `edgekit.devices.DeviceRuntime`."""
        return None if "TensorRT" in machine.versions else "it has no TensorRT (no trtexec, no package)"

    def on(self, device: Transport | Board) -> Trtexec:
        """See `edgekit.devices.DeviceRuntime`."""
        if not hasattr(device, "push"):
            raise UsageError(f"{device.address} has no processes, so TensorRT cannot run there")
        return _TimedTrtexec(device=cast(Transport, device))

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """What ONNX Runtime here says of the file: see `edgekit_runtimes.onnxruntime.OnnxRuntime.inspect`."""
        described: dict[str, Any] = plugins.load("runtimes", "onnxruntime").inspect(request)
        return described

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample by itself.

        Args:
            request: The model file and how to run it.
            inputs: By name, arrays of shape (samples, *input shape without batch) in the file's dtypes.

        Returns:
            Outputs by name, of shape (samples, *output shape without batch), in the file's dtypes.

        Raises:
            ConversionError: TensorRT refuses the file.
            DeviceFailed: trtexec crashed, hung, or answered garbage.
        """
        device, engine = self._there(), engines.built(self._there(), request)
        dtypes = {spec["name"]: spec["dtype"] for spec in self.inspect(request)["outputs"]}
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        count = len(next(iter(arrays.values())))
        rows = [engines.infer(device, engine, request, {k: v[i : i + 1] for k, v in arrays.items()}) for i in range(count)]
        return {name: np.concatenate([row[name] for row in rows]).astype(dtype) for name, dtype in dtypes.items()}

    def _there(self) -> Transport:
        if self.device is None:
            raise UsageError("TensorRT runs on a device with an NVIDIA GPU only", next_step="name one: --on ssh:USER@HOST")
        return self.device


@dataclass(frozen=True)
class _TimedTrtexec(Trtexec):
    """On a device."""

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """Time one launch; see `edgekit.timing.TimedRuntime`. Inputs are trtexec's own random ones: a GPU's time does not depend on them.

        Raises:
            InvalidMeasurement: trtexec's log or times are none.
            Others: As `run`.
        """
        seconds = max(1, math.ceil(pace.max_seconds))
        measuring = Measuring(math.ceil(1000 * pace.warmup_seconds), seconds, pace.min_samples)
        command = measuring.command(_shapes(request, inputs))
        done = engines.timed(self._there(), request, command, TIMES, timeout=60 + 5 * seconds)
        samples = np.array([round(1e6 * ms) for ms in engines.times(done)], np.int64)[: pace.max_samples]
        precise = median_half_width(samples) <= pace.precision
        timings = Timings(np.zeros(0, np.int64), samples, 0.0, 1.0, stable=True, precise=precise)
        loaded = None if done.load_seconds is None else 1e3 * done.load_seconds
        return Launch(timings, loaded, None, None, cache_dropped=False)

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """Time each layer of the engine; see `edgekit.timing.TimedRuntime`. Raises what `measure` raises."""
        done = engines.timed(self._there(), request, layers(max(1, math.ceil(seconds))), PROFILE, timeout=120 + 5 * seconds)
        return OpTrace(tuple(_op_time(layer) for layer in engines.layer_times(done)), 1, SOURCE)


def _shapes(request: RunRequest, inputs: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """Shapes to run with, where the engine takes several batches."""
    several = any(word.startswith("--minShapes=") for word in request.options.get("build", ()))
    return {name: (1, *array.shape) for name, array in inputs.items()} if several else {}


def _op_time(layer: LayerTime) -> OpTime:
    return OpTime(None, layer.name, "", delegated=True, mean_us=1e3 * layer.mean_ms)


RUNTIME = Trtexec()
