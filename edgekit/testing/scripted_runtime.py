"""A runtime whose every duration is written by the test: no clock, no process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgekit.plugins import RunRequest
from edgekit.timing import Launch, OpTime, OpTrace, Pace, Timings


def launch(samples_ns: Any, **changes: Any) -> Launch:
    """A launch of these samples; `changes` are attributes of `Launch` or `Timings`."""
    timing: dict[str, Any] = {"overhead_ns": 250.0, "cpu_share": 1.0, "stable": True, "precise": True}
    further = ("readings", "energy_j", "meter", "meter_resolution")
    timing |= {k: changes.pop(k) for k in list(changes) if k in timing or k in further}
    facts: dict[str, Any] = {"cold_load_ms": 5.0, "warm_load_ms": 1.0, "first_run_ms": 0.5, "cache_dropped": True}
    facts |= {"baseline_rss_bytes": 40_000_000, "peak_rss_bytes": 46_000_000, "arena_bytes": 7000}
    return Launch(Timings(np.array([10, 9], np.int64), np.asarray(samples_ns, np.int64), **timing), **facts | changes)


def noisy(level_ns: float, seed: int, count: int = 400, spread: float = 0.02) -> np.ndarray:
    """Log-normal samples around a level."""
    samples: np.ndarray = np.random.default_rng(seed).lognormal(np.log(level_ns), spread, count)
    return samples


@dataclass
class ScriptedRuntime:
    """Makes the launches it is given, in order; a `BaseException` among them is raised.

    Attributes:
        launches: What `measure` answers.
        ops: What `trace` answers.
        asked: Arguments of every `measure`.
    """

    launches: Sequence[Launch | BaseException] = ()
    ops: tuple[OpTime, ...] = (OpTime(0, "CONV_2D", "IGEMM", True, 60.0), OpTime(1, "SOFTMAX", "", False, 20.0))
    name: str = "scripted"
    formats: tuple[str, ...] = ("litert",)
    extra: str = "test"
    asked: list[tuple[RunRequest, Pace, Any]] = field(default_factory=list)

    def version(self) -> str:
        """A version."""
        return "scripted 1.0"

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """One int8 and one int32 input."""
        return {"inputs": [{"name": "x", "shape": [1, 4], "dtype": "int8"}, {"name": "ids", "shape": [1, 2], "dtype": "int32"}]}

    def run(self, request: RunRequest, inputs: Any) -> dict[str, Any]:
        """Not scripted."""
        raise NotImplementedError

    def measure(self, request: RunRequest, pace: Pace, inputs: Any) -> Launch:
        """The next launch."""
        self.asked.append((request, pace, inputs))
        answer = self.launches[len(self.asked) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def trace(self, request: RunRequest, inputs: Any, seconds: float) -> OpTrace:
        """The scripted operators."""
        return OpTrace(self.ops, 100, "scripted", planned_arena_bytes=9000)
