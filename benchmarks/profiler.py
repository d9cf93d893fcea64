"""Is the profiler right? Kernels whose duration is known, on this machine, through the whole of `profile` and `compare`.

    python -m benchmarks.profiler            on a quiet machine
    python -m benchmarks.profiler --runs 10  a first look
    python -m benchmarks.profiler equal      one part

known_duration        a kernel that spins until a clock says so many microseconds have passed is recovered within 2 %
slower_by_5_percent   of two kernels of a fixed amount of work, 5 % more in B, `compare` calls B slower in 95 of 100 comparisons
equal                 of two of the same, it finds no difference in 95 of 100
throttling            work that grows by 30 % half way through a long launch is called throttled

Each trial is written to ``build/profiler`` as it is done, and those that are there are not made again: stopped, the next call goes on
where it was; ``--again`` begins anew. A part ends as soon as the trials that are left cannot change its verdict.
The simulated versions are tests (`edgekit/profiling/comparing_test.py`, `sustaining_test.py`).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.busy import Busy, model
from edgekit import compare, profile
from edgekit.profiling.profiles import Profile
from edgekit.profiling.validity import Validity

ROOT = Path(__file__).parent.parent
SPINS_US = (50, 200, 1000, 5000)
KNOWN_WITHIN = 0.02
WORK = 400_000
"""Bytes to digest: a quarter of a millisecond."""
SLOWER = 1.05
RISE_AFTER_S, SUSTAINED_S = 3.0, 6.0

Trial = Callable[[Path, int], dict[str, Any]]
"""Makes the trial of a number, in a scratch folder; what it found, with ``right``."""


@dataclass(frozen=True)
class Part:
    """Trials of one kind.

    Attributes:
        trial: Makes one.
        share: Of them that must be right.
        per_hundred: How many there are where the others have a hundred.
    """

    trial: Trial
    share: float
    per_hundred: int = 100

    def trials(self, runs: int) -> int:
        """How many, if the comparisons are so many."""
        return max(1, runs * self.per_hundred // 100)


def known_duration(folder: Path, number: int) -> dict[str, Any]:
    """A kernel of known duration."""
    microseconds = SPINS_US[number % len(SPINS_US)]
    measured = profile(model(folder, "known", spin_us=microseconds), runtime=Busy(), quick=True)
    assert isinstance(measured, Profile)
    _whole(measured.validity)
    error = measured.latency.median_ms * 1e3 / microseconds - 1
    return {"right": abs(error) <= KNOWN_WITHIN, "microseconds": microseconds, "error": error}


def compared(factor: float, wanted: str) -> Trial:
    """B does `factor` times the work of A."""

    def trial(folder: Path, number: int) -> dict[str, Any]:
        a, b = model(folder, "a", work=WORK), model(folder, "b", work=WORK * factor)
        found = compare(a, b, runtime=Busy(), quick=True, rounds=20, seed=number)
        _whole(found.validity)
        return {"right": found.verdict == wanted, "verdict": found.verdict, "ratio": vars(found.ratio), "rounds": len(found.order)}

    return trial


def throttling(folder: Path, number: int) -> dict[str, Any]:
    """Work that grows in the middle of a launch."""
    path = model(folder, "grows", work=WORK, grows_after_s=RISE_AFTER_S)
    found = profile(path, runtime=Busy(), launches=1, quick=True, sustained=SUSTAINED_S)
    assert isinstance(found, Profile)
    if found.sustained is None:
        raise KeyboardInterrupt
    began = found.sustained.throttled_at_s
    return {"right": "throttles" in {f.code for f in found.validity.warnings}, "began_at_s": began}


def _whole(validity: Validity) -> None:
    """Pass on a Ctrl-C, after which a profile keeps what it has: half a trial is none."""
    if any(finding.code == "partial" for finding in validity.reasons):
        raise KeyboardInterrupt


PARTS = {
    "known_duration": Part(known_duration, 1.0, len(SPINS_US)),
    "slower_by_5_percent": Part(compared(SLOWER, "slower"), 0.95),
    "equal": Part(compared(1.0, "no difference"), 0.95),
    "throttling": Part(throttling, 0.95, 10),
}


def made(part: Part, runs: int, kept: Path) -> dict[str, Any]:
    """Make the trials that are missing in the file `kept`, a line of JSON each; what all say together."""
    trials = part.trials(runs)
    needed = math.ceil(part.share * trials)
    lines = [json.loads(line) for line in _whole_lines(kept)][:trials]
    while not _decided(lines, trials, needed):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            found = part.trial(Path(folder), len(lines))
        lines.append({**found, "seconds": round(time.perf_counter() - start, 2), "load": os.getloadavg()[0]})
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(lines[-1]) + "\n")
    right = sum(line["right"] for line in lines)
    seconds = round(sum(line["seconds"] for line in lines))
    return {"right": right, "made": len(lines), "of": trials, "wanted": needed, "passed": right >= needed, "seconds": seconds}


def _decided(lines: list[dict[str, Any]], trials: int, needed: int) -> bool:
    right: int = sum(line["right"] for line in lines)
    return right >= needed or len(lines) - right > trials - needed


def _whole_lines(kept: Path) -> list[str]:
    """Lines that were written to their end; what a killed process left of its last one is cut off."""
    if not kept.exists():
        return []
    text = kept.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        kept.write_text(whole, encoding="utf-8")
    return whole.splitlines()


def main() -> int:
    """Run the parts asked for; a line of JSON on standard output as each is done. Returns 1 if one is wrong too often, 130 after Ctrl-C."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    passed = True
    for name in options.parts or PARTS:
        kept = options.out / f"{name}.jsonl"
        if options.again:
            kept.unlink(missing_ok=True)
        try:
            result = made(PARTS[name], options.runs, kept)
        except KeyboardInterrupt:
            print(f"stopped; the trials made are in {options.out}, and the next call goes on after them", file=sys.stderr)
            return 130
        passed &= result["passed"]
        print(json.dumps({name: result}), flush=True)
    return int(not passed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profiler", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--runs", type=int, default=100, help="comparisons of each kind")
    parser.add_argument("--again", action="store_true", help="forget the trials that are there")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "profiler")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
