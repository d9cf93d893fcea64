"""Time one command for four targets against the slowest of them alone, interleaved.

python -m benchmarks.several [--repeats N] [--out build/bench]

The goal: at most 1.5 times the slowest on two cores.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

from benchmarks import process
from benchmarks.machine import machine
from benchmarks.report import keep

ROOT = Path(__file__).parent.parent
TARGETS = ("android", "ios", "jetson", "mnn")
MODEL = "benchmarks/models.py:cifar_resnet20"
LIMIT = 1.5


def main() -> int:
    """Measure; returns 1 if the goal is not met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.several", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="interleaved rounds, after an unmeasured one")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench")
    options = parser.parse_args()
    out: Path = options.out / "several"
    out.mkdir(parents=True, exist_ok=True)
    calibration = options.out / "cifar_resnet20" / "calibration.npz"
    if not calibration.exists():
        process.run([sys.executable, "-m", "benchmarks.cases", str(options.out)], out / "prepare.log")
    runs = {target: [target] for target in TARGETS} | {"all": [",".join(TARGETS)]}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(options.repeats + 1):
        for name, targets in runs.items():
            cost = process.run(_command(targets[0], calibration, out / name), out / f"{name}.log")
            if cost.code:
                print(f"{name} failed with exit code {cost.code}: {out / f'{name}.log'}", file=sys.stderr)
                return 2
            if turn:
                seconds[name].append(cost.seconds)
                print(f"{name}: {cost.seconds:.1f} s", file=sys.stderr, flush=True)
    return _judge(seconds, out)


def _command(targets: str, calibration: Path, folder: Path) -> list[str]:
    edgekit = str(Path(sys.executable).with_name("edgekit"))
    return [edgekit, "convert", MODEL, "--target", targets, "--calibration", str(calibration), "--out", str(folder), "--force"]


def _judge(seconds: dict[str, list[float]], out: Path) -> int:
    medians = {name: median(times) for name, times in seconds.items()}
    slowest = max(TARGETS, key=lambda name: medians[name])
    ratio = medians["all"] / medians[slowest]
    keep(out, "several", machine=machine(), seconds=seconds, slowest=slowest, ratio=ratio, limit=LIMIT)
    print(f"four targets in {medians['all']:.1f} s, {slowest} alone in {medians[slowest]:.1f} s: {ratio:.2f}, wanted at most {LIMIT}")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
