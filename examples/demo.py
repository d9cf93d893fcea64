"""`make demo`: the whole job on this machine, in under a minute.

Trains a small network on handwritten digits, once in PyTorch and once in Keras; converts each for Android, as float and as
int8; verifies all four on held-out digits and measures them; prints one table. Artifacts and reports stay in build/demo/.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from digits import Digits, digits, train_keras, train_pytorch
from rich.console import Console
from rich.table import Table

import edgekit
from edgekit.profiling import Profile
from edgekit.report import write_report
from edgekit.verification import Verdict

OUT = Path("build/demo")
RECIPES = ("float32", "int8")
CALIBRATION = 200


@dataclass(frozen=True)
class Source:
    """A trained model, and how the images go into it."""

    name: str
    model: Any
    train: np.ndarray
    test: np.ndarray
    example_inputs: tuple[torch.Tensor, ...] | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    source: str
    recipe: str
    artifact: edgekit.Artifact
    verdict: Verdict
    profile: Profile


def sources(data: Digits) -> Iterator[Source]:
    """Both models, trained. PyTorch wants channels first, Keras last."""
    with step("training in PyTorch"):
        model = train_pytorch(data)
    yield Source("PyTorch", model, data.train[:, None], data.test[:, None], (torch.zeros(1, 1, 8, 8),))
    with step("training in Keras"):
        keras_model = train_keras(data)
    yield Source("Keras", keras_model, data.train[..., None], data.test[..., None])


def run(source: Source, recipe: str, data: Digits, out: Path) -> Row:
    """Convert, verify, profile."""
    folder = out / f"{source.name.lower()}-{recipe}"
    with step(f"{source.name} {recipe}: converting"):
        artifact = edgekit.convert(
            source.model,
            target="android",
            recipe=recipe,
            example_inputs=source.example_inputs,
            calibration=source.train[:CALIBRATION],
            labels=[str(digit) for digit in range(10)],
            out=folder,
            overwrite=True,
        )
    with step(f"{source.name} {recipe}: verifying on {len(source.test)} held-out digits"):
        verdict = edgekit.verify(artifact, source.model, data=(source.test, data.test_labels))
    with step(f"{source.name} {recipe}: profiling"):
        profile = edgekit.profile(artifact, quick=True)
    write_report(folder.with_suffix(".html"), edgekit.Artifact.load(folder), verdict, profile)
    return Row(source.name, recipe, artifact, verdict, profile)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what went on in the block, and how long it took."""
    start = time.perf_counter()
    yield
    print(f"{time.perf_counter() - start:5.1f} s  {text}", flush=True)


def table(rows: list[Row]) -> Table:
    """Float against int8."""
    found = Table(
        "model", "recipe", "accuracy (95 % interval)", "bytes", "latency, µs (95 % interval)", title="Held-out digits, this machine"
    )
    for row in rows:
        latency, metric = row.profile.latency, row.verdict.metric
        assert metric is not None
        found.add_row(
            row.source,
            row.recipe,
            f"{metric.artifact.value:.1%} ({metric.artifact.low:.1%} to {metric.artifact.high:.1%})",
            f"{row.artifact.model_file.stat().st_size:,}",
            f"{1e3 * latency.median_ms:.2f} ({1e3 * latency.low_ms:.2f} to {1e3 * latency.high_ms:.2f})",
        )
    return found


def main(out: Path = OUT) -> list[Row]:
    """Run everything; returns the table's rows."""
    data = digits()
    rows = [run(source, recipe, data, out) for source in sources(data) for recipe in RECIPES]
    Console().print(table(rows))
    print(f"artifacts and reports: {out}/")
    return rows


if __name__ == "__main__":
    main()
