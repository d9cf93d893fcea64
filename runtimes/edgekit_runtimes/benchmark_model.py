"""TFLite's own ``benchmark_model``, where the user has one for his device: what there is for Android, whose C library is its own.

``EDGEKIT_BENCHMARK_MODEL`` names the program (built with Bazel, or TensorFlow's nightly ``android_aarch64_benchmark_model``). It
tells the statistics of a process, not its samples; so a launch has one sample, the median of its runs (the mean, of older versions),
and percentiles over runs are not told.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from edgekit import plugins
from edgekit.devices import Board, Completed, Machine, Transport
from edgekit.errors import DeviceFailed, UsageError
from edgekit.plugins import RunRequest, Runtime
from edgekit.timing import Launch, OpTrace, Pace, Timings
from edgekit_runtimes._benchmark_report import Report, read
from edgekit_runtimes._litert_capi import ProfilerMissing
from edgekit_runtimes.native.launching import operators
from edgekit_runtimes.transports._elf import architecture

VARIABLE = "EDGEKIT_BENCHMARK_MODEL"
SOURCE = "TFLite's benchmark_model: means, microseconds rounded by it"


def program() -> Path | None:
    """The user's ``benchmark_model``, or None.

    Raises:
        UsageError: The variable names no file.
    """
    given = os.environ.get(VARIABLE)
    if given and not Path(given).is_file():
        raise UsageError(f"{VARIABLE} names no file: {given}")
    return Path(given).absolute() if given else None


@dataclass(frozen=True)
class BenchmarkModel:
    """Times ``.tflite`` files on devices; gives no outputs. `RunRequest.delegate` is ``xnnpack`` or ``none``."""

    name: str = "benchmark_model"
    formats: tuple[str, ...] = ("litert",)
    extra: str = "litert"

    def version(self) -> str:
        """What a record says measured. The program does not tell its version."""
        return "TFLite benchmark_model"

    def refusal(self, machine: Machine) -> str | None:
        """See `edgekit.devices.DeviceRuntime`."""
        found = program()
        if found is None:
            return f"{VARIABLE} does not name a benchmark_model for {machine.architecture}"
        if (built := architecture(found)) not in (None, machine.architecture):
            return f"the benchmark_model that {VARIABLE} names is built for {built}, not for {machine.architecture}"
        return "wall time of an emulator is no latency" if machine.emulator else None

    def on(self, device: Transport | Board) -> Runtime:
        """See `edgekit.devices.DeviceRuntime`."""
        if not hasattr(device, "push"):
            raise UsageError(f"{device.address} has no processes, so benchmark_model cannot run there")
        if (reason := self.refusal(device.machine())) is not None:
            raise UsageError(f"benchmark_model cannot run on {device.address}: {reason}")
        return cast(Runtime, TimedBenchmarkModel(device=cast(Transport, device)))

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Not something it does. Raises `UsageError`."""
        raise UsageError("benchmark_model gives no outputs", next_step="verify with --runtime native or litert")

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """What LiteRT here says of the file."""
        described: dict[str, Any] = plugins.load("runtimes", "litert").inspect(request)
        return described


@dataclass(frozen=True)
class TimedBenchmarkModel(BenchmarkModel):
    """On a device."""

    device: Transport | None = None

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """One process; `inputs` are not used, it feeds random ones.

        Raises:
            DeviceFailed: It crashed, hung, or printed what cannot be read.
        """
        report = self._benchmarked(request, *flags(pace))
        precise = 1.96 * report.std_us / max(1, report.runs) ** 0.5 <= pace.precision * report.mean_us
        stable = abs(report.warmup_us - report.mean_us) <= pace.stability * report.mean_us
        warmup, sample = (np.array([round(us * 1e3)], np.int64) for us in (report.warmup_us, report.typical_us))
        # it tells neither its own overhead nor its share of the CPU: what is not known raises no doubt here
        timings = Timings(warmup, sample, overhead_ns=0.0, cpu_share=1.0, stable=stable, precise=precise)
        return Launch(timings, report.init_us / 1e3, None, report.first_us / 1e3, cache_dropped=False)

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """Per-operator times from a process of its own."""
        words = (f"--min_secs={seconds}", f"--max_secs={max(1.0, 4 * seconds)}", "--num_runs=10", "--enable_op_profiling=true")
        report = self._benchmarked(request, *words)
        if not report.operators:
            return OpTrace(reason="this benchmark_model reports no operators")
        try:
            rows = [(name, kind, index, us) for name, kind, index, us in report.events]
            return OpTrace(operators(self.inspect(request), rows), report.runs, SOURCE)
        except ProfilerMissing:  # newer versions add kernels of one name up
            return OpTrace(report.operators, report.runs, SOURCE)

    def _benchmarked(self, request: RunRequest, *words: str) -> Report:
        if request.delegate not in ("xnnpack", "none"):
            raise UsageError(f"benchmark_model has no delegate {request.delegate!r}", accepted=("xnnpack", "none"))
        device, found = self.device, program()
        if device is None or found is None:
            raise UsageError(f"benchmark_model runs on a device, and {VARIABLE} names it", next_step="edgekit profile … --on adb")
        argv = [device.push(found, executable=True), f"--graph={device.push(request.model)}", f"--num_threads={request.threads}"]
        argv += [f"--use_xnnpack={str(request.delegate == 'xnnpack').lower()}", *words]
        done = device.run(argv, timeout=float(request.options.get("timeout", 600.0)))
        return _reported(done, request.model)


def flags(pace: Pace) -> tuple[str, ...]:
    """The program's own flags for a launch's rules; it warms up and stops by time alone."""
    return (
        "--warmup_runs=1",
        f"--warmup_min_secs={pace.warmup_seconds}",
        f"--num_runs={pace.min_samples}",
        f"--min_secs={pace.min_seconds}",
        f"--max_secs={pace.max_seconds}",
    )


def _reported(done: Completed, model: Path) -> Report:
    if done.exit_code:
        raise DeviceFailed(f"benchmark_model failed on {model.name}: {done.reason}")
    return read((done.stdout + b"\n" + done.stderr).decode("utf-8", "replace"))


RUNTIME = BenchmarkModel()
