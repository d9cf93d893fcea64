"""Latency as edgekit measures it against LiteRT's own benchmark tool, on the same files: python -m benchmarks.agreement [FILE]...

The wheel of ai-edge-litert carries the tool (``litert-benchmark``). Both measure in fresh processes, in turns, so that what disturbs one
disturbs the other. The tool's own report is rounded to 0.01 ms, a tenth of a small model's time, so its function is called and its
durations are read before it rounds them.

The tool times a Python call that looks buffers up by name and hands them over; edgekit times the runtime's own call. What that adds is
measured, not assumed: beside each file goes an *idle* one with the same inputs and a single operator that copies one element. What the tool
tells of that more than edgekit does is its own cost a call, and the ratio without it must lie within 3 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Round:
    """Medians of one round, in microseconds.

    Attributes:
        ours: edgekit's, of the file.
        theirs: The tool's, of the file.
        ours_idle: edgekit's, of the idle file.
        theirs_idle: The tool's, of the idle file.
    """

    ours: float
    theirs: float
    ours_idle: float
    theirs_idle: float

    @property
    def added(self) -> float:
        """What the tool's own call costs, microseconds."""
        return self.theirs_idle - self.ours_idle

    @property
    def raw(self) -> float:
        """Ours over theirs, as both tell it."""
        return self.ours / self.theirs

    @property
    def net(self) -> float:
        """Ours over theirs without what the tool's own call costs."""
        return self.ours / (self.theirs - self.added)


def main() -> int:
    """Measure every file; returns 1 if one disagrees."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help=".tflite files; by default the data folder's, and MobileNetV2")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--runtime", default="litert", choices=["litert", "native"])
    options = parser.parse_args()
    agreed = True
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        print(f"{'file':34} {'edgekit µs':>10} {'tool µs':>10} {'tool adds':>10} {'ratio':>6} {'without what it adds':>28}", flush=True)
        for file in options.files or _references(Path(scratch)):
            rounds = measured(file, options.rounds, options.runtime, Path(scratch))
            net = statistics.median(r.net for r in rounds)
            agreed &= abs(net - 1) <= WANTED
            print(_line(file.name, rounds), flush=True)
    return 0 if agreed else 1


def _line(name: str, rounds: Sequence[Round]) -> str:
    def median(figure: Callable[[Round], float]) -> float:
        return statistics.median(map(figure, rounds))

    low, high = _interval([r.net for r in rounds])
    figures = f"{median(lambda r: r.ours):10.1f} {median(lambda r: r.theirs):10.1f} {median(lambda r: r.added):10.2f}"
    return f"{name:34} {figures} {median(lambda r: r.raw):6.3f} {median(lambda r: r.net):8.3f} ({low:.3f} to {high:.3f}, 95 %)"


def _references(scratch: Path) -> list[Path]:
    """The authors' files, of 4 to 300 microseconds, and one of milliseconds, in which a call of the tool costs next to nothing."""
    from edgekit.testing.data import find_data_folder

    folder = find_data_folder()
    if folder is None:
        raise SystemExit("name files, or set EDGEKIT_DATA")
    return [*sorted(folder.glob("ref_*.tflite")), _mobilenet(scratch)]


def _mobilenet(scratch: Path) -> Path:
    """MobileNetV2 at 224 × 224 in int8."""
    import warnings

    import edgekit
    from edgekit.tensors import TensorSpec
    from edgekit.testing.data import data_file
    from edgekit.testing.vision_models import MobileNetV2

    model = MobileNetV2.from_int8(data_file("mobilenet_v2_w8perchannel.safetensors")).eval()
    image = (TensorSpec("image", (1, 3, 224, 224), "float32"),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = edgekit.convert(model, "android", example_inputs=image, calibration="random", samples=8, out=scratch / "mobilenet_v2_224")
    return made.model_file.rename(scratch / "mobilenet_v2_224_int8.tflite")


def measured(file: Path, rounds: int, runtime: str, scratch: Path) -> list[Round]:
    """Medians of both, one `Round` a turn; the order changes from turn to turn."""
    idle = idle_file(file, scratch / f"idle-{file.name}")
    found = []
    for turn in range(rounds):
        sides = {"ours": lambda f: _ours(f, runtime), "theirs": _theirs}
        order = ("ours", "theirs") if turn % 2 else ("theirs", "ours")
        times = {(side, path): sides[side](path) for path in (file, idle) for side in order}
        found.append(Round(times["ours", file], times["theirs", file], times["ours", idle], times["theirs", idle]))
    return found


def idle_file(file: Path, out: Path) -> Path:
    """A file with the inputs of another, which copies one element of the first and does no more."""
    import ai_edge_litert.schema_py_generated as schema
    import numpy as np

    from edgekit import plugins
    from edgekit.plugins import RunRequest
    from edgekit.tensors import TensorSpec
    from edgekit_converters.litert.builder import Builder

    found = plugins.load("runtimes", "litert").inspect(RunRequest(file))
    specs = [TensorSpec.from_json(s) for s in found["inputs"]]
    builder = Builder()
    inputs = {s.name: builder.tensor(s.shape, s.dtype, s.grid, s.name) for s in specs}
    first, ones = specs[0], np.ones(len(specs[0].shape), np.int32)
    result = builder.tensor(ones.tolist(), first.dtype, first.grid, "element")
    operands = [inputs[first.name], builder.constant(0 * ones), builder.constant(ones)]
    builder.operator(schema.BuiltinOperator.SLICE, operands, [result], schema.SliceOptionsT())
    out.write_bytes(builder.serialize(inputs, {"element": result}, "", {}))
    return out


def _ours(file: Path, runtime: str) -> float:
    """Microseconds."""
    from edgekit.profiling.measuring import FULL, planned

    plan = planned(file, runtime=runtime, threads=1, delegate="xnnpack", pace=FULL, on="host")
    return statistics.median(plan.launch().timings.samples_ns) / 1e3


def _theirs(file: Path) -> float:
    """Microseconds."""
    size = file.stat().st_size
    runs = 2000 if size < 1_000_000 else 300
    done = subprocess.run([sys.executable, "-c", TOOL, str(file), str(runs)], check=True, capture_output=True, text=True)
    return 1e3 * float(json.loads(done.stdout.strip().splitlines()[-1]))


def _interval(values: list[float]) -> tuple[float, float]:
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = np.median(rng.choice(values, (4000, len(values))), axis=1)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


if __name__ == "__main__":
    raise SystemExit(main())
