"""What TensorRT is given, held to its goals beside a peer's file.

python -m benchmarks.jetson [--only MODEL]... [--out build/bench-jetson]

Each model is converted for target jetson and by the peer, torch.onnx with ONNX Runtime's ``quantize_static`` (Q/DQ, a scale for each
channel), on the same 200 training images; both files run in ONNX Runtime on the same 1000 test images, and both are held to TensorRT's
rules. No engine is built: accuracy and bytes are the file's, and nothing here is a latency.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import keep, markdown, verdict

os.environ.setdefault("KERAS_BACKEND", "torch")

ROOT = Path(__file__).parent.parent
OURS, PEER = "edgekit", "torch.onnx + quantize_static"
IMAGES = 200
GOALS = {"ic_resnet8": (0.878, 110_000), "cifar_resnet20": (0.912, 330_000)}
"""Least accuracy and most bytes of our file, by model."""


@dataclass(frozen=True)
class Row:
    """One file.

    Attributes:
        model: Which.
        tool: Who wrote it.
        accuracy: Top-1 on the 1000 test images, in ONNX Runtime.
        bytes: Its size.
        refused: Findings that TensorRT refuses or computes otherwise.
        slower: Findings that cost speed or bytes.
    """

    model: str
    tool: str
    accuracy: float
    bytes: int
    refused: int
    slower: int

    def met(self) -> bool:
        """Whether it is another's, or keeps what ours promises."""
        accuracy, most = GOALS[self.model]
        return self.tool != OURS or (self.accuracy >= accuracy - 1e-9 and self.bytes <= most and not self.refused and not self.slower)


def main() -> int:
    """Run everything; returns 1 if a goal is not met."""
    options = _options()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows = []
    for name in options.only or GOALS:
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        for tool, write in ((OURS, _ours), (PEER, _peer)):
            rows.append(_row(name, tool, write(name, folder)))
            print(_line(rows[-1]), file=sys.stderr, flush=True)
    keep(options.out, "jetson", rows=[asdict(row) for row in rows])
    print("\n".join(table(rows)))
    return 0 if all(row.met() for row in rows) else 1


def table(rows: list[Row]) -> list[str]:
    """A Markdown table."""
    head = ["model", "tool", "accuracy", "bytes", "refused by TensorRT", "slower than need be", ""]
    cells = [
        [r.model, r.tool, f"{r.accuracy:.3f}", f"{r.bytes:,}", str(r.refused), str(r.slower), verdict(r.met()) if r.tool == OURS else ""]
        for r in rows
    ]
    return markdown(head, cells)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jetson", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(GOALS))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-jetson")
    return parser.parse_args()


def _images(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibration images, test images and their labels, model-ready."""
    from edgekit.testing.data import cifar_test, cifar_train, normalized_nchw

    (test, labels), (train, _) = cifar_test(), cifar_train()
    ready = (lambda x: x.astype(np.float32)) if name == "ic_resnet8" else normalized_nchw
    return ready(train[:IMAGES]), ready(test), labels


def _ours(name: str, folder: Path) -> Path:
    import edgekit
    from edgekit.testing.reference import REFERENCE

    model, (calibration, _, _) = REFERENCE[name](), _images(name)
    example = {"example_inputs": model.example_inputs} if model.framework == "pytorch" else {}
    made = edgekit.convert(model.model, "jetson", calibration=calibration, out=folder / OURS, overwrite=True, **example)
    return made.model_file


def _peer(name: str, folder: Path) -> Path:
    import onnxruntime
    import torch
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    from edgekit.testing.reference import REFERENCE

    model, (calibration, _, _) = REFERENCE[name](), _images(name)
    plain, out = folder / "peer.float.onnx", folder / "peer.onnx"
    with torch.no_grad():
        program: Any = torch.onnx.export(model.model, (torch.from_numpy(calibration[:1]),), dynamo=True, verbose=False)
    program.save(plain)
    edge = onnxruntime.InferenceSession(plain).get_inputs()[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """One image at a time."""

        def __init__(self) -> None:
            self.left = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next image."""
            image = next(self.left, None)
            return None if image is None else {edge: image[None]}

    quantize_static(plain, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True)
    return out


def _row(name: str, tool: str, file: Path) -> Row:
    from edgekit import plugins
    from edgekit.onnxfile import read_model
    from edgekit.plugins import RunRequest
    from edgekit_converters.tensorrt.rules import violations

    _, images, labels = _images(name)
    runtime = plugins.load("runtimes", "onnxruntime")
    (entry,) = runtime.inspect(RunRequest(file))["inputs"]
    (scores,) = runtime.run(RunRequest(file), {entry["name"]: images}).values()
    accuracy = float((scores.reshape(len(labels), -1).argmax(1) == labels).mean())
    found = violations(read_model(file))
    refused = sum(v.refused for v in found)
    return Row(name, tool, accuracy, file.stat().st_size, refused, len(found) - refused)


def _line(row: Row) -> str:
    return f"{row.model}: {row.tool}: {row.accuracy:.3f}, {row.bytes:,} bytes, {row.refused} refused, {row.slower} slower"


if __name__ == "__main__":
    sys.exit(main())
