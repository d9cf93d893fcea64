"""Palettized Core ML files of cifar_resnet20 beside coremltools' own, and how long clustering a ResNet-50 takes.

python -m benchmarks.palettes [--only SETTING]... [--skip-speed] [--out build/bench-palettes]

Each setting is converted for target ios and, with the same bits, by coremltools' ``palettize_weights`` (k-means) from our half-precision
file; the saved packages are read back and run in the Core ML reference evaluator on the 1000 test images. Calibration sees 200 training
images, without labels. Nothing here is a latency on a device.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import keep, markdown, verdict
from edgekit.recipe import Recipe, pass_class
from edgekit.recipes import load_recipe

os.environ.setdefault("TQDM_DISABLE", "1")

ROOT = Path(__file__).parent.parent
OURS, PEER = "edgekit", "coremltools"
IMAGES = 200
ROOM = 1.06
"""Bytes of the file's weights, to those of all parameters in that many bits."""


@dataclass(frozen=True)
class Setting:
    """One size.

    Attributes:
        bits: Width of the indices.
        least: Accuracy our file must reach, or None.
        recipe: Ours: a preset's name, or options of ``cluster``.
        peer: What coremltools is asked for besides.
        held_to_bytes: Whether tables are few enough for the limit on bytes that bits alone set, besides the peer's file.
    """

    bits: int
    least: float | None
    recipe: str | Mapping[str, Any]
    peer: Mapping[str, Any] = field(default_factory=dict)
    held_to_bytes: bool = True

    def made(self) -> Recipe:
        """The recipe."""
        if isinstance(self.recipe, str):
            return load_recipe(self.recipe)
        step = pass_class("cluster")(bits=self.bits, method="sensitivity", **self.recipe)
        return Recipe("sensitivity", (step,), input_dtype="float32", output_dtype="float32")


GROUPED = {"granularity": "per_grouped_channel", "group_size": 4}
SETTINGS = {
    "8 bits": Setting(8, 0.914, "palettize8"),
    "6 bits": Setting(6, 0.914, "palettize6"),
    "4 bits, groups of 4": Setting(4, 0.910, "palettize4_grouped", GROUPED, held_to_bytes=False),
    "4 bits, groups of 4, corrected": Setting(4, 0.912, {"channels": 4, "correction": "layers"}, GROUPED, held_to_bytes=False),
    "4 bits, sensitivity": Setting(4, 0.900, {"correction": "bias"}),
    "4 bits, corrected": Setting(4, 0.912, "palettize4"),
    "3 bits, corrected": Setting(3, 0.880, "palettize3"),
    "2 bits, corrected": Setting(2, None, "palettize2", held_to_bytes=False),
}


@dataclass(frozen=True)
class Row:
    """One file.

    Attributes:
        setting: Which.
        tool: Who wrote it.
        accuracy: Top-1 on the 1000 test images.
        bytes: Of its weights.
        wanted: Accuracy it must reach, the peer's included; None for the peer's own.
        most: Bytes it may take, the peer's at most; None for the peer's own.
    """

    setting: str
    tool: str
    accuracy: float
    bytes: int
    wanted: float | None = None
    most: float | None = None

    def met(self) -> bool:
        """Whether it reaches what is wanted."""
        return (self.wanted is None or self.accuracy >= self.wanted - 1e-9) and (self.most is None or self.bytes <= self.most)


def main() -> int:
    """Run everything; returns 1 if a goal is not met."""
    options = _options()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = _rows(options.only or list(SETTINGS), options.out)
    speed = None if options.skip_speed else _speed(options.out)
    keep(options.out, "palettes", rows=[asdict(row) for row in rows], speed=speed)
    print("\n".join(table(rows)))
    if speed:
        print(
            f"\nResNet-50 (random weights, {speed['weights']:,}), 4 bits: {speed['seconds']:.1f} s, mean squared error {speed['mse']:.4e};"
            f" {PEER}: {speed['peer_seconds']:.1f} s, {speed['peer_mse']:.4e}: {verdict(speed['met'])}"
        )
    return 0 if all(row.met() for row in rows) and (speed is None or speed["met"]) else 1


def table(rows: list[Row]) -> list[str]:
    """A Markdown table."""
    head = ["setting", "tool", "accuracy", "wanted", "bytes of weights", "at most", ""]
    cells = [
        [
            r.setting,
            r.tool,
            f"{r.accuracy:.3f}",
            "" if r.wanted is None else f"≥ {r.wanted:.3f}",
            f"{r.bytes:,}",
            "" if r.most is None else f"{r.most:,.0f}",
            verdict(r.met()) if r.tool == OURS else "",
        ]
        for r in rows
    ]
    return markdown(head, cells)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.palettes", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(SETTINGS), help="measure this setting only")
    parser.add_argument("--skip-speed", action="store_true", help="leave the ResNet-50 out")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-palettes")
    return parser.parse_args()


def _rows(chosen: list[str], out: Path) -> list[Row]:
    import edgekit
    from edgekit.testing.data import cifar_train, normalized_nchw
    from edgekit.testing.reference import REFERENCE

    model, calibration = REFERENCE["cifar_resnet20"](), normalized_nchw(cifar_train()[0][:IMAGES])
    graph = edgekit.load(model.model, model.example_inputs)
    floats = sum(buffer.numel() for buffer in graph.module.buffers())

    def convert(recipe: str | Recipe, name: str) -> Path:
        folder = out / name.replace(" ", "-").replace(",", "")
        made = edgekit.convert(graph, "ios", recipe=recipe, calibration=calibration, versions={"ios": "18"}, out=folder, overwrite=True)
        return made.model_file

    half, rows = convert("fp16", "half"), []
    for name in chosen:
        setting = SETTINGS[name]
        theirs = _row(name, PEER, _palettized(half, out / "peer.mlpackage", setting))
        wanted = max(setting.least or 0.0, theirs.accuracy)
        most = min(theirs.bytes, ROOM * setting.bits / 8 * floats) if setting.held_to_bytes else theirs.bytes
        ours = _row(name, OURS, convert(setting.made(), name), wanted=wanted, most=most)
        rows += [ours, theirs]
        print(*table(rows[-2:])[2:], sep="\n", file=sys.stderr, flush=True)
    return rows


def _palettized(source: Path, out: Path, setting: Setting) -> Path:
    """What coremltools writes itself. It leaves small weights alone unless told not to."""
    import shutil

    import coremltools
    from coremltools.optimize import coreml as cto

    config = cto.OpPalettizerConfig(nbits=setting.bits, mode="kmeans", weight_threshold=0, num_kmeans_workers=1, **setting.peer)
    model = coremltools.models.MLModel(str(source), skip_model_load=True)
    shutil.rmtree(out, ignore_errors=True)
    cto.palettize_weights(model, cto.OptimizationConfig(global_config=config)).save(str(out))
    return out


def _row(setting: str, tool: str, package: Path, *, wanted: float | None = None, most: float | None = None) -> Row:
    from edgekit import plugins
    from edgekit.plugins import RunRequest
    from edgekit.testing.data import cifar_test, normalized_nchw

    images, labels = cifar_test()
    runtime = plugins.load("runtimes", "coreml")
    (entry,) = runtime.inspect(RunRequest(package))["inputs"]
    (scores,) = runtime.run(RunRequest(package), {entry["name"]: normalized_nchw(images)}).values()
    accuracy = float((scores.reshape(len(labels), -1).argmax(1) == labels).mean())
    weights = sum(file.stat().st_size for file in package.rglob("weight.bin"))
    return Row(setting, tool, accuracy, weights, wanted, most)


def _speed(out: Path) -> dict[str, Any]:
    """Both cluster the same ResNet-50, one after the other; each is told to use one process."""
    import time

    import coremltools
    import torch
    from coremltools.optimize import coreml as cto
    from transformers import ResNetConfig, ResNetForImageClassification

    import edgekit
    from edgekit.compress.cluster import Cluster
    from edgekit.conversion.lowering import lower
    from edgekit.recipe import Context
    from edgekit.targets import load_rules

    torch.manual_seed(0)
    network = ResNetForImageClassification(ResNetConfig(return_dict=False)).eval()
    graph, rules = edgekit.load(network, (torch.zeros(1, 3, 224, 224),)), load_rules("coreml")
    half = edgekit.convert(graph, "ios", recipe="fp16", out=out / "resnet50", overwrite=True).model_file
    lowered = lower(graph, rules)

    start = time.perf_counter()
    ours = Cluster(4)(lowered, Context(rules))
    seconds = time.perf_counter() - start
    model = coremltools.models.MLModel(str(half), skip_model_load=True)
    config = cto.OpPalettizerConfig(nbits=4, mode="kmeans", weight_threshold=0)
    start = time.perf_counter()
    theirs = cto.palettize_weights(model, cto.OptimizationConfig(global_config=config))
    peer_seconds = time.perf_counter() - start
    exact = _graph_weights(lowered)
    errors = [
        float(sum(np.square(a - b).sum() for a, b in zip(exact, found, strict=True)))
        for found in (_graph_weights(ours), _package_weights(theirs))
    ]
    count = sum(w.size for w in exact)
    met = seconds <= peer_seconds / 4 and errors[0] <= errors[1]
    return {
        "weights": count,
        "seconds": seconds,
        "peer_seconds": peer_seconds,
        "mse": errors[0] / count,
        "peer_mse": errors[1] / count,
        "met": met,
    }


def _graph_weights(graph: Any) -> list[np.ndarray]:
    """Of convolutions and linears, in execution order."""
    from edgekit.graph import constant_value, is_call, op_name

    nodes = (n for n in graph.nodes if is_call(n) and op_name(n) in ("convolution", "linear"))
    return [constant_value(n.args[1]).double().numpy() for n in nodes]  # type: ignore[union-attr]


def _package_weights(model: Any) -> list[np.ndarray]:
    """The same of a Core ML model in memory, decompressed."""
    from coremltools.converters.mil.frontend.milproto.load import load

    spec = model.get_spec()
    operations = load(spec, spec.specificationVersion, model.weights_dir).functions["main"].operations
    weights = (op.weight for op in operations if op.op_type in ("conv", "linear"))
    return [np.asarray(w.op.materialized_val_inference() if w.val is None else w.val, np.float64) for w in weights]


if __name__ == "__main__":
    sys.exit(main())
