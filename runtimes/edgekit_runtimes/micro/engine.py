"""The engine on microcontrollers: int8 models on boards that run edgekit's firmware, emulated or real."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from edgekit import plugins, worker
from edgekit.counting import CountedRun, OpCount
from edgekit.devices import Board, Machine, Transport
from edgekit.errors import DataError, DeviceFailed, UsageError
from edgekit.plugins import RunRequest, Runtime
from edgekit.timing import Launch, OpTrace, Pace, Timings
from edgekit_runtimes.micro import marks
from edgekit_runtimes.micro.marks import CountingBoard

VERSION = "edgekit's firmware 1"
MOST_RUNS = 255
"""In one message."""


@dataclass(frozen=True)
class Micro:
    """Runs int8 ``.tflite`` files with edgekit's own kernels in C.

    `RunRequest.threads` and `RunRequest.delegate` mean nothing here. `RunRequest.options` takes ``timeout`` (seconds, 600).

    Attributes:
        device: The board; nothing runs without one.
    """

    name: str = "micro"
    formats: tuple[str, ...] = ("litert",)
    extra: str = "microcontrollers"
    device: Board | None = None
    kernels: ClassVar[Mapping[str, str]] = {}

    def version(self) -> str:
        """``edgekit's firmware 1``."""
        return VERSION

    def refusal(self, machine: Machine) -> str | None:
        """See `edgekit.devices.DeviceRuntime`."""
        return None

    def on(self, device: Transport | Board) -> Runtime:
        """See `edgekit.devices.DeviceRuntime`.

        Raises:
            UsageError: It is no microcontroller.
        """
        if not hasattr(device, "exchange"):
            raise UsageError(f"{device.address} is no microcontroller with edgekit's firmware")
        board = cast(Board, device)
        return cast(Runtime, CountedMicro(device=board) if isinstance(board, CountingBoard) else TimedMicro(device=board))

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample; as `edgekit_runtimes.litert.LiteRt.run`.

        Raises:
            ConversionError: The firmware has no kernel for an operator.
            DataError: The inputs are not the model's.
            DeviceFailed: The board refused, hung or answered garbage.
        """
        described = self.inspect(request)
        self._load(request)  # refuses what the firmware cannot run: floats, operators it has no kernel for
        samples = _checked(described["inputs"], {name: np.asarray(value) for name, value in inputs.items()})
        rows = [_split(described["outputs"], self._invoke(sample, 1, request)[1]) for sample in samples]
        shapes = {spec["name"]: tuple(spec["shape"][1:]) for spec in described["outputs"]}
        return {n: np.stack([row[n] for row in rows]) if rows else np.zeros((0, *shape), np.int8) for n, shape in shapes.items()}

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """What tflite-micro here says of the file, and ``plan_arena_bytes``: what the firmware needs for activations."""
        reader = plugins.load("converters", "litert").reader
        described = worker.run(reader, {"model": str(request.model.resolve())}, timeout=120)[0]
        ops = [{"index": op["index"], "name": op["name"], "delegated": False} for op in described["ops"]]
        return {"inputs": described["inputs"], "outputs": described["outputs"], "ops": ops}

    def _load(self, request: RunRequest) -> dict[str, Any]:
        told, arrays = worker.run("edgekit_runtimes.micro.plan:compile_plan", {"model": str(request.model.resolve())}, timeout=120)
        answer = self._exchange(b"l" + arrays["plan"].tobytes(), _timeout(request))
        if answer != b"k":
            raise DeviceFailed(f"{self._board.address} does not take the model: {_words(answer)}")
        return told

    def _invoke(self, sample: np.ndarray, runs: int, request: RunRequest) -> tuple[np.ndarray, np.ndarray]:
        """Cycles of each run and the output, int8, flat."""
        answer = self._exchange(b"r" + bytes([runs]) + np.ascontiguousarray(sample).tobytes(), _timeout(request))
        if answer[:1] != b"o" or len(answer) < 1 + 4 * runs:
            raise DeviceFailed(f"{self._board.address} did not run the model: {_words(answer)}")
        return np.frombuffer(answer[1 : 1 + 4 * runs], "<u4"), np.frombuffer(answer[1 + 4 * runs :], np.int8)

    def _exchange(self, message: bytes, timeout: float) -> bytes:
        return self._board.exchange(message, timeout=timeout)

    @property
    def _board(self) -> Board:
        if self.device is None:
            raise UsageError("runtime 'micro' runs on microcontrollers only", accepted="--on qemu:cortex-m4, --on serial:/dev/ttyACM0")
        return self.device


@dataclass(frozen=True)
class CountedMicro(Micro):
    """On emulators that count instructions."""

    def count(self, request: RunRequest, inputs: Mapping[str, np.ndarray], invokes: int) -> CountedRun:
        """See `edgekit.counting.CountedRuntime`. Raises what `run` raises."""
        described = self.inspect(request)
        told = self._load(request)
        (sample,) = _checked(described["inputs"], {name: value[None] for name, value in inputs.items()})
        board = cast(CountingBoard, self._board)
        board.marks()
        _, output = self._invoke(sample, invokes + 1, request)
        counted = marks.runs(board.marks())
        if len(counted) != invokes + 1 or any(len(ops) != len(told["records"]) for _, ops in counted):
            raise DeviceFailed("the emulator's counter missed a mark of the firmware", next_step="run again")
        totals = [0] * len(told["ops"])
        for index, count in zip(told["records"], counted[-1][1], strict=True):
            totals[index] += count.total
        ops = tuple(OpCount(i, name, total) for i, (name, total) in enumerate(zip(told["ops"], totals, strict=True)))
        outputs = _split(described["outputs"], output)
        source = f"{self._board.machine().emulator}; edgekit's own int8 kernels, which take more instructions than CMSIS-NN's"
        return CountedRun(tuple(run for run, _ in counted[1:]), source, ops, arena_bytes=told["arena_bytes"], outputs=outputs)


@dataclass(frozen=True)
class TimedMicro(Micro):
    """On real boards: the firmware reads the core's cycle counter before and after each run."""

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """Time one launch, from cycles and the clock the firmware states. A microcontroller has nothing to warm up but one run.

        Raises:
            DeviceFailed: The core has no cycle counter. And what `run` raises.
        """
        described = self.inspect(request)
        arena = int(self._load(request)["arena_bytes"])
        (sample,) = _checked(described["inputs"], {name: value[None] for name, value in inputs.items()})
        clocks = self._board.machine().clocks_mhz
        if not clocks:
            raise DeviceFailed(f"{self._board.address} does not state its clock", next_step="set PORT_CLOCK_HZ in the firmware's port.h")
        first, _ = self._invoke(sample, 1, request)
        cycles = self._sampled(lambda runs: self._invoke(sample, runs, request)[0], pace, int(first[0]) / clocks[0] * 1e-6)
        if not cycles.any():
            raise DeviceFailed(f"{self._board.address} has no cycle counter", accepted="a core with DWT's CYCCNT: Cortex-M3 and later")
        samples = np.maximum(1, np.rint(cycles * 1e3 / clocks[0])).astype(np.int64)
        timings = Timings(samples[:1], samples, 1e3 / clocks[0], 1.0, True, True)
        return Launch(timings, 0.0, None, int(first[0]) / clocks[0] / 1e3, False, arena_bytes=arena)

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """No times: the firmware does not read the counter between operators; emulators count them."""
        return OpTrace(reason="the firmware times whole runs; --on qemu:cortex-m4 counts each operator's instructions")

    def _sampled(self, invoke: Callable[[int], np.ndarray], pace: Pace, run_seconds: float) -> np.ndarray:
        wanted = int(max(pace.min_samples, pace.min_seconds / max(run_seconds, 1e-6)))
        wanted = max(3, min(wanted, pace.max_samples, int(pace.max_seconds / max(run_seconds, 1e-6))))
        batches = [min(MOST_RUNS, wanted - done) for done in range(0, wanted, MOST_RUNS)]
        return np.concatenate([invoke(runs) for runs in batches])


def _checked(specs: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The samples as the firmware takes them: each a row of all inputs one after another, shape (samples, bytes).

    Raises:
        DataError: They are not the model's.
    """
    if set(arrays) != {spec["name"] for spec in specs}:
        raise DataError(f"the model's inputs were given as {sorted(arrays)}", accepted=sorted(spec["name"] for spec in specs))
    for spec in specs:
        value = arrays[spec["name"]]
        if value.dtype != np.int8 or list(value.shape[1:]) != list(spec["shape"][1:]):
            raise DataError(f"input {spec['name']!r} is {value.dtype}{list(value.shape[1:])}", accepted=f"int8{list(spec['shape'][1:])}")
    counts = {len(value) for value in arrays.values()}
    if len(counts) > 1:
        raise DataError(f"inputs have different numbers of samples: {sorted(counts)}")
    return np.concatenate([arrays[spec["name"]].reshape(*counts, -1) for spec in specs], axis=1)


def _split(specs: Sequence[Mapping[str, Any]], flat: np.ndarray) -> dict[str, np.ndarray]:
    """The firmware's answer, all outputs one after another, as outputs of one sample by name.

    Raises:
        DeviceFailed: It is of another size.
    """
    shapes = [tuple(spec["shape"][1:]) for spec in specs]
    sizes = [math.prod(shape) for shape in shapes]
    if len(flat) != sum(sizes):
        raise DeviceFailed(f"the board answered {len(flat)} bytes of outputs, not {sum(sizes)}")
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    return {spec["name"]: part.reshape(shape) for spec, part, shape in zip(specs, parts, shapes, strict=True)}


def _timeout(request: RunRequest) -> float:
    return float(request.options.get("timeout", 600.0))


def _words(answer: bytes) -> str:
    return answer[1:301].decode("ascii", "replace") if answer[:1] == b"e" else f"it answered {answer[:20]!r}"
