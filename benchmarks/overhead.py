"""How long a profile takes as a user sees it, whole processes.

python -m benchmarks.overhead [FILE]

Of a model of about 0.1 ms: five launches by default within 20 s, `--quick` within 3 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMITS = {"profile": ((), 20.0), "profile --quick": (("--quick",), 3.0)}
UNTRUSTED = 3
"""Exit code of a profile taken on a busy machine; what it took is measured all the same."""


def main() -> int:
    """Measure both; returns 1 if one takes too long."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="a .tflite file; by default ic_resnet8's reference in the data folder")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    file = options.file or _reference()
    met = True
    for name, (words, limit) in LIMITS.items():
        taken = [seconds(file, *words) for _ in range(options.runs)]
        met &= statistics.median(taken) <= limit
        print(f"edgekit {name}: {statistics.median(taken):.1f} s ({min(taken):.1f} to {max(taken):.1f}), limit {limit:.0f} s", flush=True)
    return 0 if met else 1


def _reference() -> Path:
    from edgekit.testing.data import find_data_folder

    folder = find_data_folder()
    if folder is None:
        raise SystemExit("name a file, or set EDGEKIT_DATA")
    return folder / "ref_ic_resnet8_int8.tflite"


def seconds(file: Path, *words: str) -> float:
    """From before the process is made until it has ended."""
    command = [str(Path(sys.executable).with_name("edgekit")), "profile", str(file), *words]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode not in (0, UNTRUSTED):
        raise SystemExit(done.stderr.decode(errors="replace"))
    return time.perf_counter() - start


if __name__ == "__main__":
    raise SystemExit(main())
