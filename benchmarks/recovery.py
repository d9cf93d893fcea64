"""How accurate cifar_resnet56 is with 2.1 times fewer multiply-accumulates, pruned and trained back: edgekit beside Torch-Pruning.

python -m benchmarks.recovery [--seeds 3] [--seconds 900] [--threads 2] [--only TOOL]... [--out build/bench-recovery]

All remove channels from the same weights, then train on the same 4000 training images for the same time with the same loss (the soft
labels of the float model, temperature 4, and the labels), augmentation and batch size; each run has a process of its own. Accuracy is on
the 1000 test images, which choose nothing: the last state is taken. edgekit prunes as its preset for Android does (in eights, by what the
kernels of phones take), and its model is then converted to int8, too: it is the one that ``benchmarks.gains`` times. Results are written
after each run, and those that are there are not measured again.

Torch-Pruning cannot follow channels through this network's shortcuts (slices padded with channels of zeros), so its runs leave the
channels of the residual streams alone, as its users must. It trains both as its own reproduction script does (SGD at 0.01 with momentum
0.9 and weight decay 5e-4) and as edgekit does here (Adam at 0.003); the best of all counts.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from benchmarks import process
from benchmarks.report import markdown, verdict
from benchmarks.results import OURS

ROOT = Path(__file__).parent.parent
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
PEERS = {
    "torch-pruning, L1, SGD": ("l1", "sgd"),
    "torch-pruning, group norm, SGD": ("group_norm", "sgd"),
    "torch-pruning, L1, Adam": ("l1", "adam"),
    "torch-pruning, group norm, Adam": ("group_norm", "adam"),
}
MODEL = "cifar_resnet56"
FEWER = 2.1
LEAST, LOST = 0.900, 0.005
"""Accuracy wanted, and what int8 may take from it."""

TRAINING = {"losses": {"soft": 1.0, "labels": 1.0}, "temperature": 4.0, "batch_size": 32, "augment": ("flip", "shift")}
"""What all have in common."""


@dataclass(frozen=True)
class Run:
    """One pruned and trained model.

    Attributes:
        tool: Who made it.
        seed: Of the training.
        fewer: Multiply-accumulates before, divided by those after.
        parameters: Left.
        start: Top-1 on the test images before the training.
        accuracy: After it.
        int8: Of the int8 file, or None.
    """

    tool: str
    seed: int
    fewer: float
    parameters: int
    start: float
    accuracy: float
    int8: float | None = None


def main() -> int:
    """Run what is missing; returns 1 if a goal is not met."""
    options = _options()
    if options.ours is not None:
        _write(options.ours, ours(options.seed, options.seconds, options.threads, options.ours.with_suffix("")))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    runs = []
    for seed in range(options.seeds):
        for tool in options.only or (OURS, *PEERS):
            path = options.out / f"{tool.replace(', ', '-').replace(' ', '-')}-{seed}.json"
            if not path.exists():
                _measure(tool, path, seed, options)
            runs.append(Run(**json.loads(path.read_text(encoding="utf-8"))))
            print(runs[-1], file=sys.stderr, flush=True)
    print("\n".join(table(runs)))
    return 0 if all(goals(runs).values()) else 1


def goals(runs: list[Run]) -> dict[str, bool]:
    """Goal to whether it is met, of those that the runs tell something about."""
    found = {tool: [r for r in runs if r.tool == tool] for tool in (OURS, *PEERS)}
    own, best = found[OURS], max((mean(r.accuracy for r in found[t]) for t in PEERS if found[t]), default=None)
    if not own:
        return {}
    accuracy = mean(r.accuracy for r in own)
    lost = [r.accuracy - r.int8 for r in own if r.int8 is not None]
    told = {f"accuracy ≥ {LEAST:.3f}": accuracy >= LEAST, f"int8 loses {LOST} at most": bool(lost) and mean(lost) <= LOST + 1e-9}
    return told if best is None else {**told, "accuracy ≥ Torch-Pruning's best": accuracy >= best - 1e-9}


def table(runs: list[Run]) -> list[str]:
    """A Markdown table, and the goals."""
    lines = []
    for tool in dict.fromkeys(r.tool for r in runs):
        own = [r for r in runs if r.tool == tool]
        cells = [_spread([r.start for r in own]), _spread([r.accuracy for r in own]), _spread([r.int8 for r in own if r.int8 is not None])]
        lines.append([tool, str(len(own)), f"{own[0].fewer:.2f}", f"{own[0].parameters:,}", *cells])
    head = ["tool", "seeds", "MACs ÷", "parameters", "pruned", "trained", "int8"]
    return [*markdown(head, lines), "", *(f"{goal}: {verdict(met)}" for goal, met in goals(runs).items())]


def _spread(values: list[float]) -> str:
    return f"{mean(values):.4f} ({min(values):.3f}–{max(values):.3f})" if values else ""


def ours(seed: int, seconds: float, threads: int, folder: Path) -> Run:
    """Prune, train, convert and test with edgekit."""
    import torch

    torch.set_num_threads(threads)
    import edgekit
    from edgekit.compress.costs import cost_of
    from edgekit.compress.prune_channels import PruneChannels
    from edgekit.compress.shrinking import AFTER_REFIT
    from edgekit.compress.training import FineTune
    from edgekit.recipe import Context
    from edgekit.targets import load_target
    from edgekit.testing.data import cifar_train, normalized_nchw
    from edgekit.testing.reference import REFERENCE

    model = REFERENCE[MODEL]()
    graph = edgekit.load(model.model, model.example_inputs)
    images, labels = cifar_train()
    samples = edgekit.Samples({graph.inputs[0].name: normalized_nchw(images)}, labels.astype(np.int64))
    target = load_target("android")
    wanted = {"alignment": target.channel_alignment, "kernels": target.kernels}
    context = Context(target.rules, samples.first(200), training=samples, teacher=graph, **wanted)  # type: ignore[arg-type]
    pruned = PruneChannels(macs=1 / FEWER)(graph, context)
    step = FineTune(seconds=seconds, held_out=0.0, seed=seed, **AFTER_REFIT, **TRAINING)  # type: ignore[arg-type]
    tuned = step(pruned, context)
    artifact = edgekit.convert(tuned, "android", recipe="int8", calibration=samples.first(200), out=folder, overwrite=True)
    before, after = cost_of(graph), cost_of(tuned)
    return Run(OURS, seed, before.macs / after.macs, after.parameters, _accuracy(pruned), _accuracy(tuned), _file_accuracy(artifact))


def _accuracy(graph: Any) -> float:
    import torch

    from edgekit.canonicalize.batched import batched
    from edgekit.testing.data import cifar_test, normalized_nchw

    images, labels = cifar_test()
    wide = batched(graph)
    assert wide is not None
    return float((wide(torch.from_numpy(normalized_nchw(images)))[0].argmax(1).numpy() == labels).mean())


def _file_accuracy(artifact: Any) -> float:
    from edgekit.conversion.running import run_file, runtime_for
    from edgekit.plugins import RunRequest
    from edgekit.testing.data import cifar_test, normalized_nchw

    images, labels = cifar_test()
    entries = artifact.manifest.inputs, artifact.manifest.outputs
    (scores,) = run_file(
        runtime_for("litert"), RunRequest(artifact.model_file), *entries, {entries[0][0].name: normalized_nchw(images)}
    ).values()
    return float((scores.argmax(1) == labels).mean())


def _write(path: Path, run: Run) -> None:
    path.write_text(json.dumps(asdict(run), indent=1), encoding="utf-8")


def _measure(tool: str, path: Path, seed: int, options: argparse.Namespace) -> None:
    numbers = ["--seed", str(seed), "--seconds", str(options.seconds), "--threads", str(options.threads)]
    if tool == OURS:
        command = [sys.executable, "-m", "benchmarks.recovery", "--ours", str(path), *numbers]
    else:
        command = [str(PEERS_PYTHON), "-m", "benchmarks.recovery_peer", tool, *PEERS[tool], str(path), *numbers]
    log = path.with_suffix(".log")
    cost = process.run(command, log, {"OMP_NUM_THREADS": str(options.threads)})
    if cost.code:
        raise SystemExit(f"{tool} failed with exit code {cost.code}: {log}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each tool")
    parser.add_argument("--seconds", type=float, default=900.0, help="of training, each run")
    parser.add_argument("--threads", type=int, default=2, help="each run may use")
    parser.add_argument(
        "--only", action="append", choices=[OURS, *PEERS], metavar="TOOL", help=f"run this only: {OURS}, {', '.join(PEERS)}"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-recovery")
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
