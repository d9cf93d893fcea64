"""How long edgekit takes to start: whole processes, interpreter included, the statements in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 15
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "import edgekit": [sys.executable, "-c", "import edgekit"],
    "edgekit --help": [str(Path(sys.executable).with_name("edgekit")), "--help"],
}


def startup(runs: int = RUNS) -> dict[str, list[float]]:
    """Seconds of every run of every command of `COMMANDS`, after one unmeasured run each."""
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(runs + 1):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if turn:
                samples[name].append(time.perf_counter() - start)
    return samples


def medians(samples: dict[str, list[float]]) -> dict[str, float]:
    """The median of each."""
    return {name: statistics.median(values) for name, values in samples.items()}
