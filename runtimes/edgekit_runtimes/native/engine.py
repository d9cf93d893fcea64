"""The engine as `edgekit.plugins` finds it: what runs, what is timed and what is counted, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from edgekit import plugins
from edgekit.counting import CountedRun
from edgekit.devices import Board, Machine, Transport, opened
from edgekit.errors import UsageError
from edgekit.plugins import RunRequest, Runtime
from edgekit.timing import Launch, OpTrace, Pace
from edgekit_runtimes.native import counting, launching
from edgekit_runtimes.native.library import ARCHITECTURES, version
from edgekit_runtimes.native.marks import CountingTransport
from edgekit_runtimes.native.process import Answer, Job, execute


@dataclass(frozen=True)
class Native:
    """Runs ``.tflite`` files with a C program over LiteRT's C API; needs no Python where it runs.

    `RunRequest.delegate` is ``xnnpack`` or ``none``. `RunRequest.options` takes ``timeout`` (seconds, 600).

    Attributes:
        device: Where it runs; None for this machine.
    """

    name: str = "native"
    formats: tuple[str, ...] = ("litert",)
    extra: str = "litert"
    device: Transport | None = None

    def version(self) -> str:
        """``LiteRT 2.3.0, native runner``."""
        return f"LiteRT {version()}, native runner"

    def refusal(self, machine: Machine) -> str | None:
        """See `edgekit.devices.DeviceRuntime`."""
        if machine.architecture not in ARCHITECTURES:
            return f"LiteRT's library exists for {' and '.join(ARCHITECTURES)}, not for {machine.architecture}"
        if machine.system.startswith("Android") and not machine.emulator:
            return (
                "Android's C library is not the one LiteRT's Linux library needs; set EDGEKIT_BENCHMARK_MODEL to TFLite's benchmark_model"
            )
        return None

    def on(self, device: Transport | Board) -> Runtime:
        """See `edgekit.devices.DeviceRuntime`.

        On an emulated device nothing is timed: its runtime has no `measure`, and `count` only if the emulator counts.

        Raises:
            UsageError: It cannot run there.
        """
        if not hasattr(device, "push"):
            raise UsageError(f"{device.address} has no processes, so the native runner cannot run there")
        if (reason := self.refusal(device.machine())) is not None:
            raise UsageError(f"the native runner cannot run on {device.address}: {reason}")
        there = cast(Transport, device)
        if not there.machine().emulator:
            return cast(Runtime, TimedNative(device=there))
        return cast(Runtime, CountedNative(device=there) if isinstance(there, CountingTransport) else Native(device=there))

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample by itself, as `edgekit_runtimes.litert.LiteRt.run`.

        Raises:
            LoadError: The file cannot be read.
            DataError: The inputs are not the model's.
            ConversionError: LiteRT reads the file and cannot run it.
            DeviceFailed: The runner crashed, hung or answered garbage.
        """
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        answer = self._execute(Job("run", request), arrays)
        return launching.stacked(answer)

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """What LiteRT here says of the file: see `edgekit_runtimes.litert.LiteRt.inspect`."""
        described: dict[str, Any] = plugins.load("runtimes", "litert").inspect(request)
        return described

    def _execute(self, job: Job, arrays: Mapping[str, np.ndarray]) -> Answer:
        with self._there() as device:
            return execute(device, job, arrays)

    @contextmanager
    def _there(self) -> Iterator[Transport]:
        """The device, or this machine for as long as the block takes."""
        if self.device is not None:
            yield self.device
            return
        with opened("host") as here:
            yield here  # type: ignore[misc]  # the host has processes


@dataclass(frozen=True)
class TimedNative(Native):
    """On real machines."""

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """Time one launch; see `edgekit.timing.TimedRuntime`. Raises what `run` raises."""
        one = {name: value[None] for name, value in inputs.items()}
        return launching.launch(self._execute(Job("time", request, pace.to_json()), one))

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """Take per-operator times; see `edgekit.timing.TimedRuntime`. Raises what `run` raises."""
        one = {name: value[None] for name, value in inputs.items()}
        found = self.inspect(request)
        return launching.trace(lambda: self._execute(Job("ops", request, {"seconds": seconds}), one), found)


@dataclass(frozen=True)
class CountedNative(Native):
    """On emulators that count instructions."""

    def count(self, request: RunRequest, inputs: Mapping[str, np.ndarray], invokes: int) -> CountedRun:
        """See `edgekit.counting.CountedRuntime`. Raises what `run` raises.

        Raises:
            UsageError: More than one thread, whose instructions nobody could put in order.
        """
        if request.threads != 1:
            raise UsageError(f"instructions are counted on one thread, not on {request.threads}", accepted="1")
        if invokes < 1:
            raise UsageError(f"cannot count {invokes} runs", accepted="1 or more")
        one = {name: value[None] for name, value in inputs.items()}
        runs = self._execute(Job("count", request, {"runs": invokes}), one)
        found = self.inspect(request)
        with self._there() as device:
            source = str(device.machine().emulator)
        return counting.counted(runs, lambda: self._execute(Job("count_ops", request), one), found, source)
