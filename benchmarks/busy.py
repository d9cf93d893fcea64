"""A runtime of kernels whose duration is known, for `benchmarks.profiler` to measure through all of `profile` and `compare`.

A module of its own, as light as those of real runtimes: every launch imports it in a fresh process.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import worker
from edgekit.plugins import RunRequest
from edgekit.timing import Launch, OpTrace, Pace, sample

GROWTH = 1.3
"""How much more a kernel that grows has to do."""


@dataclass(frozen=True)
class Busy:
    """Its model files are JSON: ``spin_us``; or ``work``, bytes to digest, and ``grows_after_s``."""

    name: str = "busy"
    formats: tuple[str, ...] = ("busy",)
    extra: str = "test"

    def version(self) -> str:
        """None to speak of."""
        return "busy 1"

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """No inputs."""
        return {"inputs": [], "outputs": [], "ops": []}

    def run(self, request: RunRequest, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Nothing to answer."""
        return {}

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """A fresh process, as every runtime makes."""
        kernel = json.loads(request.model.read_text(encoding="utf-8"))
        return Launch.from_worker(*worker.run(f"{__name__}:serve", {"kernel": kernel, "pace": pace.to_json()}))

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """No operators."""
        return OpTrace(reason="a kernel has no operators")


def model(folder: Path, name: str, **kernel: float) -> Path:
    """Write a model file."""
    path = folder / f"{name}.busy"
    path.write_text(json.dumps(kernel), encoding="utf-8")
    return path


def serve(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One launch, in the worker."""
    timings = sample(_kernel(arguments["kernel"]), Pace(**arguments["pace"]), lambda: None)
    return Launch(timings, None, None, None, cache_dropped=False).to_worker()


def _kernel(kernel: Mapping[str, float]) -> Callable[[], object]:
    return _spinning(kernel["spin_us"]) if "spin_us" in kernel else _working(int(kernel["work"]), kernel.get("grows_after_s"))


def _spinning(microseconds: float) -> Callable[[], object]:
    clock, length = time.perf_counter_ns, int(microseconds * 1000)

    def spin() -> None:
        end = clock() + length
        while clock() < end:
            pass

    return spin


def _working(units: int, grows_after_s: float | None) -> Callable[[], object]:
    # A digest takes the same time in every process; loops of Python, or sums, differ by some percent with where a launch's objects lie.
    clock, start, digest = time.perf_counter_ns, time.perf_counter_ns(), hashlib.sha256
    usual, more = bytes(units), bytes(int(units * GROWTH))

    def work() -> object:
        grown = grows_after_s is not None and clock() - start > grows_after_s * 1e9
        return digest(more if grown else usual)

    return work
