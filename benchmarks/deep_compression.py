"""Deep Compression (Han, Mao and Dally 2016) of their MNIST networks: pruned, clustered, trained, packed.

python -m benchmarks.deep_compression [--network NAME]... [--seeds 3] [--out build/bench-deep-compression]

Each network is trained on 3000 images, then pruned in rounds with a training after each, clustered to 16 values a weight, its
tables trained, written as a TFLite file and packed. The unpacked file runs in LiteRT on 3000 other images. Sizes are those of one packed
file, the model with its biases and operators, against the network's parameters in single precision. Which epoch is kept is decided
on a tenth of the training images. Only the download is small: in memory, and to the kernels, weights are plain floats again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.report import keep, markdown, verdict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.recipe import Recipe

ROOT = Path(__file__).parent.parent
MOST_LOST = 0.001
"""Accuracy that may be lost: the mean of the seeds, a tenth of a point."""
EPOCHS, BATCH = 40, 64


@dataclass(frozen=True)
class Network:
    """One of the paper's.

    Attributes:
        wanted: How many times smaller.
        sparsity: Share of the weights that are pruned, the smallest of all of them.
        rounds: Of pruning and training.
        epochs: Of each round, and of the tables.
    """

    wanted: float
    sparsity: float
    rounds: int = 5
    epochs: int = 20


NETWORKS = {"LeNet-300-100": Network(40, 0.92), "LeNet-5": Network(39, 0.92)}


@dataclass(frozen=True)
class Row:
    """A network from one seed.

    Attributes:
        network: Which.
        seed: Of its initialization and all training.
        before: Accuracy of the float network on the test images.
        after: Of the unpacked file.
        floats: Bytes of its parameters in single precision.
        packed: Bytes of the packed model file.
        artifact: Bytes of the packed artifact: manifest, recipe and golden outputs as well.
        zstandard: Bytes that ``zstd -19`` makes of the same model file.
    """

    network: str
    seed: int
    before: float
    after: float
    floats: int
    packed: int
    artifact: int
    zstandard: int

    @property
    def ratio(self) -> float:
        """How many times smaller."""
        return self.floats / self.packed


def main() -> int:
    """Run everything; returns 1 if a goal is not met."""
    options = _options()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for name in options.network or NETWORKS:
        for seed in range(options.seeds):
            rows.append(_row(name, seed, options.out))
            print(*table(rows[-1:])[2:], sep="\n", file=sys.stderr, flush=True)
    keep(options.out, "deep-compression", rows=[asdict(row) for row in rows])
    print("\n".join([*table(rows), "", *verdicts(rows)]))
    return 0 if all(met(of) for of in _by_network(rows).values()) else 1


def met(rows: Sequence[Row]) -> bool:
    """Whether one network is as small as wanted from every seed, and on average no less accurate than it may be."""
    lost = fmean(row.before - row.after for row in rows)
    return min(row.ratio for row in rows) >= NETWORKS[rows[0].network].wanted and lost <= MOST_LOST + 1e-9


def table(rows: Sequence[Row]) -> list[str]:
    """A Markdown table."""
    head = ["network", "seed", "float", "packed file", "parameters", "packed", "times smaller", "whole artifact", "zstd -19"]
    lines = []
    for r in rows:
        sizes = [f"{r.floats:,}", f"{r.packed:,}", f"{r.ratio:.1f}", f"{r.artifact:,}", f"{r.zstandard:,}"]
        lines.append([r.network, str(r.seed), f"{r.before:.4f}", f"{r.after:.4f}", *sizes])
    return markdown(head, lines)


def verdicts(rows: Sequence[Row]) -> list[str]:
    """A line for each network: mean and range over the seeds."""
    lines = []
    for name, of in _by_network(rows).items():
        ratios, gained = [r.ratio for r in of], [100 * (r.after - r.before) for r in of]
        small = f"{fmean(ratios):.1f} times smaller ({min(ratios):.1f} to {max(ratios):.1f}; wanted {NETWORKS[name].wanted:g})"
        right = f"accuracy {fmean(gained):+.2f} points ({min(gained):+.2f} to {max(gained):+.2f}; wanted {-100 * MOST_LOST:.1f} or more)"
        lines.append(f"{name}: {small}, {right}: {verdict(met(of))}")
    return lines


def _by_network(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {name: [r for r in rows if r.network == name] for name in dict.fromkeys(r.network for r in rows)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep_compression", description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="append", choices=list(NETWORKS), help="measure this network only")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-deep-compression")
    return parser.parse_args()


def recipe(network: Network, seed: int) -> Recipe:
    """What is done to a trained network."""
    from edgekit.compress.cluster import Cluster
    from edgekit.compress.gradual import gradually
    from edgekit.compress.prune import Prune
    from edgekit.compress.training import FineTune
    from edgekit.recipe import Recipe

    training = FineTune(epochs=network.epochs, batch_size=BATCH, seed=seed, batch_norm=False)
    pruning = gradually(Prune(sparsity=network.sparsity, scope="global"), network.rounds, [training])
    return Recipe("deep_compression", (*pruning, Cluster(bits=4), training), input_dtype="float32", output_dtype="float32")


def _row(name: str, seed: int, out: Path) -> Row:
    import zstandard

    import edgekit
    from edgekit.packing import pack, unpack
    from edgekit.testing.data import mnist

    (images, labels), (unseen, answers) = ((_scaled(x), y.astype(np.int64)) for x, y in mnist())
    network = _trained(name, seed, images, labels)
    before = _accuracy(network(_tensor(unseen)).detach().numpy(), answers)
    example = (_tensor(images[:1]),)
    folder = out / f"{name}-{seed}"
    made = edgekit.convert(
        network,
        "android",
        example_inputs=example,
        recipe=recipe(NETWORKS[name], seed),
        training=(images, labels),
        out=folder,
        overwrite=True,
    )
    packed = pack(made.model_file, folder.with_suffix(".tflite.ekpack"), overwrite=True)
    again = unpack(packed.path, folder.with_suffix(".tflite"), overwrite=True)
    return Row(
        name,
        seed,
        before,
        _accuracy(_run(again, unseen), answers),
        4 * sum(p.numel() for p in network.parameters()),
        packed.bytes,
        pack(folder, overwrite=True).bytes,
        len(zstandard.ZstdCompressor(level=19).compress(made.model_file.read_bytes())),
    )


def _trained(name: str, seed: int, images: np.ndarray, labels: np.ndarray) -> nn.Module:
    """The float network, trained from scratch."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    if name == "LeNet-300-100":
        network = nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    else:  # the paper's LeNet-5 is Caffe's
        convolutions = nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2)
        network = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    inputs, classes = _tensor(images), torch.from_numpy(labels)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs[chosen]), classes[chosen]).backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def _run(model: Path, images: np.ndarray) -> np.ndarray:
    """Class scores of a file in LiteRT."""
    from edgekit import plugins
    from edgekit.plugins import RunRequest

    runtime = plugins.load("runtimes", "litert")
    (entry,) = runtime.inspect(RunRequest(model))["inputs"]
    shape = tuple(entry["shape"])[1:]
    (scores,) = runtime.run(RunRequest(model), {entry["name"]: images.reshape(-1, *shape)}).values()
    return scores.reshape(len(images), -1)


def _scaled(images: np.ndarray) -> np.ndarray:
    """Shape (n, 1, 28, 28), 0 to 1."""
    return (images[:, None] / 255).astype(np.float32)


def _tensor(images: np.ndarray) -> Tensor:
    import torch

    return torch.from_numpy(images)


def _accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores.argmax(1) == labels).mean())


if __name__ == "__main__":
    sys.exit(main())
