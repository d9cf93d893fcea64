"""Latency as edgekit measures it against LiteRT's own benchmark tool, on the same files: python -m benchmarks.agreement [FILE]...

The wheel of ai-edge-litert carries the tool (``litert-benchmark``). Both measure in fresh processes, in turns, so that what disturbs one
disturbs the other; the ratio of their medians, pairwise, must lie within 3 %. The tool's own report is rounded to 0.01 ms, a tenth of a
small model's time, so its function is called and its durations are read before it rounds them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

WANTED = 0.03
ROUNDS = 12
TOOL = """
import json, statistics, sys
from ai_edge_litert.tools import benchmark_litert_model as tool
kept = []
median = statistics.median
tool.statistics.median = lambda values: kept.append(list(values)) or median(values)
sys.argv = ["litert-benchmark", f"--model={sys.argv[1]}", "--num_threads=1", f"--warmup_runs={sys.argv[2]}", f"--num_runs={sys.argv[2]}"]
tool.run_benchmark(tool.parse_args())
print("\\n" + json.dumps(median(kept[-1])))
"""
"""The tool takes the median of its runs' milliseconds; that list is the one kept."""


def main() -> int:
    """Measure every file; returns 1 if one disagrees."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help=".tflite files; by default the data folder's")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--runtime", default="litert", choices=["litert", "native"])
    options = parser.parse_args()
    agreed = True
    for file in options.files or _references():
        ratios = measured(file, options.rounds, options.runtime)
        ratio, (low, high) = statistics.median(ratios), _interval(ratios)
        agreed &= abs(ratio - 1) <= WANTED
        print(
            f"{file.name}: edgekit / litert-benchmark = {ratio:.3f}, 95 % interval {low:.3f} to {high:.3f}, {len(ratios)} rounds",
            flush=True,
        )
    return 0 if agreed else 1


def _references() -> list[Path]:
    from edgekit.testing.data import find_data_folder

    folder = find_data_folder()
    if folder is None:
        raise SystemExit("name files, or set EDGEKIT_DATA")
    return sorted(folder.glob("ref_*.tflite"))


def measured(file: Path, rounds: int, runtime: str = "litert") -> list[float]:
    """Ratios of medians, ours over theirs, one a round; the order changes from round to round."""
    ratios = []
    for turn in range(rounds):
        times = {
            side: _ours(file, runtime) if side == "ours" else _theirs(file) for side in (("ours", "theirs"), ("theirs", "ours"))[turn % 2]
        }
        ratios.append(times["ours"] / times["theirs"])
    return ratios


def _ours(file: Path, runtime: str) -> float:
    from edgekit.profiling.measuring import FULL, planned

    plan = planned(file, runtime=runtime, threads=1, delegate="xnnpack", pace=FULL, on="host")
    return statistics.median(plan.launch().timings.samples_ns) / 1e6


def _theirs(file: Path) -> float:
    size = file.stat().st_size
    runs = 2000 if size < 1_000_000 else 300
    done = subprocess.run([sys.executable, "-c", TOOL, str(file), str(runs)], check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def _interval(values: list[float]) -> tuple[float, float]:
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = np.median(rng.choice(values, (4000, len(values))), axis=1)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


if __name__ == "__main__":
    raise SystemExit(main())
