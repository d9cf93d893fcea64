"""Is the profiler right? Kernels whose duration is known, on this machine, through the whole of `profile` and `compare`.

    python -m benchmarks.profiler            about 30 minutes, on a quiet machine
    python -m benchmarks.profiler --runs 10  a first look
    python -m benchmarks.profiler equal      one part

1. A kernel that spins until a clock says so many microseconds have passed must be recovered within 2 %.
2. A kernel of a fixed amount of work, 5 % more of it in B: `compare` must call B slower in 95 of 100 comparisons.
3. The same work in both: `compare` must find no difference in 95 of 100.
4. Work that grows by 30 % half way through a long launch must be called throttled, and where it began.

The simulated versions of 2 to 4 are tests (`edgekit/profiling/comparing_test.py`, `sustaining_test.py`).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import compare, profile, worker
from edgekit.plugins import RunRequest
from edgekit.timing import Launch, OpTrace, Pace, sample

WANTED = {"known_within": 0.02, "slower_found": 0.95, "equals_left_alone": 0.95, "throttling_found": 0.95}


@dataclass(frozen=True)
class Busy:
    """A runtime whose model files are lines of JSON: ``spin_us``, or ``work`` in units of a fixed sum, and ``grows_after_s``."""

    name: str = "busy"
    formats: tuple[str, ...] = ("busy",)
    extra: str = "test"

    def version(self) -> str:
        """None to speak of."""
        return "busy 1"

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """No inputs."""
        return {"inputs": [], "outputs": [], "ops": []}

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Nothing to run."""
        return {}

    def measure(self, request: RunRequest, pace: Pace, inputs: Mapping[str, np.ndarray]) -> Launch:
        """A fresh process, as every runtime makes."""
        kernel = json.loads(request.model.read_text())
        return Launch.from_worker(*worker.run("benchmarks.profiler:serve", {"kernel": kernel, "pace": pace.to_json()}))

    def trace(self, request: RunRequest, inputs: Mapping[str, np.ndarray], seconds: float) -> OpTrace:
        """No operators."""
        return OpTrace(reason="a kernel has no operators")


def serve(arguments: dict[str, Any], arrays: Any, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One launch, in the worker."""
    timings = sample(_kernel(arguments["kernel"]), Pace(**arguments["pace"]), lambda: None)
    return Launch(timings, 0.0, None, 0.0, False).to_worker()


def _kernel(kernel: Mapping[str, float]) -> Callable[[], object]:
    clock = time.perf_counter_ns
    if "spin_us" in kernel:
        length = int(kernel["spin_us"] * 1000)

        def spin() -> None:
            end = clock() + length
            while clock() < end:
                pass

        return spin
    units, start, after = int(kernel["work"]), clock(), kernel.get("grows_after_s")

    def work() -> int:
        grown = after is not None and clock() - start > after * 1e9
        return sum(range(int(units * 1.3) if grown else units))

    return work


def _known(folder: Path) -> dict[str, Any]:
    found = {}
    for microseconds in (50, 200, 1000, 5000):
        path = _model(folder, "known", spin_us=microseconds)
        measured = profile(path, runtime=Busy(), quick=True)
        found[f"{microseconds} us"] = measured.latency.median_ms * 1e3 / microseconds - 1
    return {"errors": found, "passed": all(abs(e) <= WANTED["known_within"] for e in found.values())}


def _compared(folder: Path, runs: int, factor: float, wanted: str) -> dict[str, Any]:
    a, b = _model(folder, "a", work=20_000), _model(folder, "b", work=20_000 * factor)
    verdicts = [compare(a, b, runtime=Busy(), quick=True, rounds=20, seed=seed).verdict for seed in range(runs)]
    right = verdicts.count(wanted) / runs
    return {"right": right, "verdicts": {v: verdicts.count(v) for v in set(verdicts)}, "passed": right >= 0.95}


def _throttled(folder: Path, runs: int) -> dict[str, Any]:
    path = _model(folder, "grows", work=20_000, grows_after_s=3.0)
    found = [profile(path, runtime=Busy(), launches=1, quick=True, sustained=6).sustained for _ in range(runs)]
    onsets = [f.throttled_at_s for f in found if f and f.throttled_at_s is not None]
    return {"found": len(onsets) / runs, "began_at_s": onsets, "expected_s": 3.0, "passed": len(onsets) / runs >= 0.95}


def _model(folder: Path, name: str, **kernel: float) -> Path:
    path = folder / f"{name}.busy"
    path.write_text(json.dumps(kernel))
    return path


PARTS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "known_duration": lambda folder, _: _known(folder),
    "slower_by_5_percent": lambda folder, runs: _compared(folder, runs, 1.05, "slower"),
    "equal": lambda folder, runs: _compared(folder, runs, 1.0, "no difference"),
    "throttling": lambda folder, runs: _throttled(folder, max(1, runs // 10)),
}


def main() -> int:
    """Run the parts asked for; a line of JSON on standard output as each is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--runs", type=int, default=100, help="comparisons of each kind")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    passed = True
    for name in options.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            result = PARTS[name](Path(folder), options.runs)
        passed &= result["passed"]
        print(json.dumps({name: result}), flush=True)
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
