"""Emulated boards held to what they promise: python -m benchmarks.emulated [--cpu CPU]... [--runs 20] [--only MODEL]...

For each model of the data folder and each processor: int8 outputs equal to this machine's bit for bit, counts the same in every run,
half of them with all cores kept busy, and int8 at most half of the float model's instructions where the processor has dot products.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import keep, markdown

os.environ.setdefault("KERAS_BACKEND", "torch")

ROOT = Path(__file__).parent.parent
MODELS = ("ic_resnet8", "cifar_resnet20", "vww_mobilenet_v1_025_96", "kws_dscnn", "ad_fc_autoencoder", "sww_streaming")
CPUS = ("cortex-a53", "cortex-a76")
HALF = 0.5
SAMPLES = 32


def main() -> int:
    """Run everything; returns 1 if a promise is not kept."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in options.only or MODELS:
        files = {recipe: _converted(name, recipe, options.out) for recipe in ("int8", "float32")}
        for cpu in options.cpu or CPUS:
            rows.append(_measured(name, files, cpu, options.runs))
            print(_line(rows[-1]), file=sys.stderr, flush=True)
    keep(options.out, "emulated", rows=rows)
    print("\n".join(table(rows)))
    return 0 if all(kept(row) for row in rows) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emulated", description=__doc__.splitlines()[0])
    parser.add_argument("--cpu", action="append", help="by default cortex-a53 and cortex-a76")
    parser.add_argument("--only", action="append", choices=MODELS)
    parser.add_argument("--runs", type=int, default=20, help="processes whose counts are compared")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "emulated")
    return parser.parse_args()


def _converted(name: str, recipe: str, out: Path) -> Path:
    """The model file, converted with random calibration: what is compared is the same file on two processors."""
    import edgekit
    from edgekit.testing.reference import REFERENCE

    folder = out / f"{name}-{recipe}"
    if not folder.exists():
        import torch

        model = REFERENCE[name]()
        calibration = torch.cat([model.inputs(seed, 1)[0] for seed in range(16)]).numpy()
        example = {"example_inputs": model.example_inputs} if model.framework == "pytorch" else {}
        edgekit.convert(model.model, target="android", recipe=recipe, calibration=calibration, out=folder, **example)
    return edgekit.Artifact.load(folder).model_file


def _measured(name: str, files: dict[str, Path], cpu: str, runs: int) -> dict[str, Any]:
    from edgekit import plugins
    from edgekit.devices import opened
    from edgekit.plugins import RunRequest

    litert, native = plugins.load("runtimes", "litert"), plugins.load("runtimes", "native")
    request = RunRequest(files["int8"])
    inputs = _inputs(litert.inspect(request)["inputs"])
    here = litert.run(request, inputs)
    with opened(f"qemu:{cpu}") as board:
        there = native.on(board)
        answers = there.run(request, inputs)
        counts = {recipe: there.count(RunRequest(file), _one(litert, file), 1).invokes[0] for recipe, file in files.items()}
        one = {key: value[0] for key, value in inputs.items()}
        idle = [there.count(request, one, 1).invokes[0].total for _ in range(runs - runs // 2)]
        with _busy():
            busy = [there.count(request, one, 1).invokes[0].total for _ in range(runs // 2)]
    differing = sum(int((answers[key] != value).sum()) for key, value in here.items())
    farthest = max(int(abs(answers[key].astype(int) - value).max()) for key, value in here.items())
    return {
        "model": name,
        "cpu": cpu,
        "values": sum(value.size for value in here.values()),
        "differing": differing,
        "farthest": farthest,
        "counts": sorted({*idle, *busy}),
        "runs": {"idle": len(idle), "busy": len(busy)},
        "int8": counts["int8"].to_json(),
        "float32": counts["float32"].to_json(),
    }


def _one(litert: Any, file: Path) -> dict[str, Any]:
    from edgekit.plugins import RunRequest

    return {key: value[0] for key, value in _inputs(litert.inspect(RunRequest(file))["inputs"]).items()}


def _inputs(specs: list[dict[str, Any]]) -> dict[str, Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    made = {}
    for spec in specs:
        dtype, shape = np.dtype(spec["dtype"]), (SAMPLES, *spec["shape"][1:])
        whole = dtype.kind in "iu"
        made[spec["name"]] = (
            rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
            if whole
            else rng.standard_normal(shape).astype(dtype)
        )
    return made


@contextmanager
def _busy() -> Iterator[None]:
    """Keep every core busy for the block."""
    spinning = [multiprocessing.get_context("spawn").Process(target=_spin, daemon=True) for _ in range(os.cpu_count() or 2)]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.join()


def _spin() -> None:
    while True:
        pass


def kept(row: dict[str, Any]) -> bool:
    """Whether a row keeps the promises."""
    has_dot_products = row["int8"]["classes"]["dot_product"] > 0
    return row["differing"] == 0 and len(row["counts"]) == 1 and (not has_dot_products or _ratio(row) <= HALF)


def _ratio(row: dict[str, Any]) -> float:
    return float(row["int8"]["total"] / row["float32"]["total"])


def _line(row: dict[str, Any]) -> str:
    said = "equal" if row["differing"] == 0 else f"{row['differing']} of {row['values']} differ by up to {row['farthest']}"
    runs = sum(row["runs"].values())
    same = f"the same {runs} times" if len(row["counts"]) == 1 else f"{len(row['counts'])} different in {runs} runs"
    return (
        f"{row['model']} on {row['cpu']}: int8 outputs {said}; {row['int8']['total']:,} instructions, {same}; {_ratio(row):.2f} of float's"
    )


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A Markdown table."""
    lines = []
    for row in rows:
        equal = "equal" if row["differing"] == 0 else f"{row['differing']} of {row['values']} off by ≤ {row['farthest']}"
        alike = f"{sum(row['runs'].values())}" if len(row["counts"]) == 1 else "no"
        lines.append([row["model"], row["cpu"], equal, f"{row['int8']['total']:,}", f"{_ratio(row):.2f}", alike])
    return markdown(["model", "processor", "int8 outputs against x86", "instructions, int8", "of float's", "runs alike"], lines)


if __name__ == "__main__":
    raise SystemExit(main())
