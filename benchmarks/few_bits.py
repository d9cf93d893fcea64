"""Accuracy without training: int8, 4-bit weights beside rounding to nearest, and half of the parameters by low rank.

python -m benchmarks.few_bits [--only PART]... [--seeds 3] [--out build/bench-few-bits]

Files are written for target android and run in LiteRT on the 1000 CIFAR-10 test images. Seed 0 calibrates on the first 200 of the 4000
training images, without labels, as everything else here does; the others draw 200 of them. The anomaly detector's clips are not in the
data folder: its samples come from itself, as the chain x ← model(x) + noise whose samples a denoising autoencoder models (Bengio et al.
2013, "Generalized denoising auto-encoders as generative models", section 3.1), so its figures tell how well factors imitate this model, not
how well it detects.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.report import keep, markdown, verdict

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import torch

import edgekit
from benchmarks.evaluate import facts
from edgekit.recipe import Recipe, pass_class
from edgekit.recipes import load_recipe

ROOT = Path(__file__).parent.parent
IMAGES, TRAINING = 200, 4000
CHAIN, NOISE = 16, 0.3
"""Steps of the detector's chain, and its noise in standard deviations of what the model gives."""


@dataclass(frozen=True)
class Row:
    """One way to make one model smaller.

    Attributes:
        model: Of the reference set.
        what: The recipe in words.
        measure: What the figures are.
        figures: One a seed.
        bytes: Of the first seed's file, or parameters of the graph where there is no file.
        seconds: Of each conversion.
        least: What the mean must reach, or None.
        most: What the mean must not exceed, or None.
    """

    model: str
    what: str
    measure: str
    figures: tuple[float, ...]
    bytes: int
    seconds: tuple[float, ...]
    least: float | None = None
    most: float | None = None

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return sum(self.figures) / len(self.figures)

    def met(self) -> bool:
        """Whether it is as good as wanted."""
        return (self.least is None or self.mean >= self.least - 1e-9) and (self.most is None or self.mean <= self.most + 1e-9)


def main() -> int:
    """Run everything; returns 1 if a goal is not met."""
    options = _options()
    warnings.simplefilter("ignore")
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for part in options.only or PARTS:
        for row in PARTS[part](options.seeds, options.out):
            rows.append(row)
            print(table([row])[2], file=sys.stderr, flush=True)
    keep(options.out, "few-bits", threads=torch.get_num_threads(), rows=[asdict(row) for row in rows])
    print("\n".join(table(rows)))
    return 0 if all(row.met() for row in rows) else 1


def table(rows: Sequence[Row]) -> list[str]:
    """A Markdown table."""
    head = ["model", "recipe", "measure", "mean", "range", "wanted", "bytes", "seconds", ""]
    return markdown(head, map(_cells, rows))


def _cells(row: Row) -> list[str]:
    wanted = "" if row.least is None else f"≥ {row.least:.3f}"
    wanted = wanted if row.most is None else f"≤ {row.most:.3f}"
    return [
        row.model,
        row.what,
        row.measure,
        f"{row.mean:.4f}",
        f"{min(row.figures):.4f}–{max(row.figures):.4f}",
        wanted,
        f"{row.bytes:,}",
        f"{sum(row.seconds) / len(row.seconds):.0f}",
        verdict(row.met()) if wanted else "",
    ]


def _int8(seeds: int, out: Path) -> Iterator[Row]:
    yield _images("ic_resnet8", "float32", load_recipe("float32"), 1, out)
    learned = Recipe("adaround", (pass_class("equalize")(), pass_class("quantize")(scheme="w8a8"), pass_class("adaround")()))
    for what, recipe in (("int8", load_recipe("int8")), ("int8, AdaRound by coordinates", learned)):
        yield replace(_images("ic_resnet8", what, recipe, seeds, out), least=0.880)


def _four_bits(seeds: int, out: Path) -> Iterator[Row]:
    nearest = (pass_class("equalize")(), pass_class("quantize")(scheme="w4a8"))
    gradient = Recipe("gradient", (*nearest, pass_class("adaround")(method="gradient")))
    biases = Recipe("biases", (*nearest, pass_class("bias_correction")()))
    yield _images("cifar_resnet20", "float32", load_recipe("float32"), 1, out)
    yield _images("cifar_resnet20", "W4A8, to nearest", Recipe("nearest", nearest), seeds, out)
    yield _images("cifar_resnet20", "W4A8, corrected biases", biases, seeds, out)
    for what, recipe in (("coordinates (`int8x4`)", load_recipe("int8x4")), ("gradients", gradient)):
        yield replace(_images("cifar_resnet20", f"W4A8, AdaRound by {what}", recipe, seeds, out), least=0.900)


def _images(name: str, what: str, recipe: Recipe, seeds: int, out: Path) -> Row:
    from edgekit.testing.data import cifar_test, cifar_train, normalized_nchw
    from edgekit.testing.reference import REFERENCE

    ready = normalized_nchw if name.startswith("cifar") else (lambda images: images.astype(np.float32))
    images, labels = cifar_test()
    test = out / f"{name}-test.npz"
    np.savez(test, x=ready(images), y=labels)
    reference = REFERENCE[name]()
    graph = edgekit.load(reference.model, reference.example_inputs)
    figures, seconds, size = [], [], 0
    for seed in range(seeds):
        drawn = np.random.default_rng(seed).choice(TRAINING, IMAGES, replace=False)
        chosen = np.sort(drawn) if seed else np.arange(IMAGES)
        start = time.perf_counter()
        folder = out / f"{name}-{recipe.name}-{seed}"
        made = edgekit.convert(graph, recipe=recipe, calibration=ready(cifar_train()[0][chosen]), out=folder, overwrite=True)
        seconds.append(time.perf_counter() - start)
        seen = facts(made.model_file, test)
        figures.append(float(seen.accuracy or 0.0))
        size = size or seen.bytes
    return Row(name, what, "accuracy", tuple(figures), size, tuple(seconds))


def _low_rank(seeds: int, out: Path) -> Iterator[Row]:
    """Reconstruction errors of the detector in half of its parameters, in shares of its own."""
    from edgekit.compress.costs import cost_of
    from edgekit.data import Samples
    from edgekit.recipe import Context
    from edgekit.targets import load_rules
    from edgekit.testing.reference import REFERENCE

    del out
    reference = REFERENCE["ad_fc_autoencoder"]()
    graph = edgekit.load(reference.model, reference.example_inputs)
    (spec,) = graph.inputs
    for what, data in (("half of the parameters, low rank, without data", False), ("half of the parameters, low rank", True)):
        figures, seconds, left = [], [], 0
        for seed in range(seeds):
            seen, unseen = _chain(graph, IMAGES, 2 * seed), _chain(graph, 500, 2 * seed + 1)
            context = Context(load_rules("litert"), Samples({spec.name: seen}) if data else None)
            start = time.perf_counter()
            made = pass_class("low_rank")(parameters=0.5)(graph, context)
            seconds.append(time.perf_counter() - start)
            figures.append(_error(made, unseen) / _error(graph, unseen))
            left = cost_of(made).parameters
        measure = "reconstruction error, shares of float's"
        yield Row("ad_fc_autoencoder", what, measure, tuple(figures), 4 * left, tuple(seconds), None, 1.05 if data else None)


def _chain(graph: Any, count: int, seed: int) -> np.ndarray:
    """Samples of the model's own, shape (count, features)."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(count, graph.inputs[0].shape[1], generator=random)
    for _ in range(CHAIN):
        given = torch.cat([graph(row)[0] for row in x.split(1)])
        x = given + NOISE * given.std() * torch.randn(x.shape, generator=random)
    return x.numpy()


def _error(graph: Any, samples: np.ndarray) -> float:
    """Mean squared difference between what the model gives and what it was given."""
    return float(np.mean([np.square(graph(torch.from_numpy(row[None]))[0].numpy() - row).mean() for row in samples]))


PARTS: dict[str, Callable[[int, Path], Iterator[Row]]] = {"int8": _int8, "w4a8": _four_bits, "low-rank": _low_rank}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.few_bits", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(PARTS), help="measure this part only")
    parser.add_argument("--seeds", type=int, default=3, help="draws of calibration samples")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-few-bits")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
