"""Torch-Pruning and a plain PyTorch training after it, in the peers' environment.

python -m benchmarks.recovery_peer NAME l1|group_norm sgd|adam OUT.json --seed N --seconds S --threads N
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.recovery import FEWER, TRAINING, Run, _write

SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
"""Defaults of Torch-Pruning's own reproduction script for CIFAR-10."""

LEARNING_RATE = 3e-3
"""Of Adam; chosen on training data that were held out."""

STEPS = 200
"""The pruning ratio rises in so many steps, until the budget is met."""


def main() -> int:
    """Prune, train and test."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("importance", choices=["l1", "group_norm"])
    parser.add_argument("optimizer", choices=["sgd", "adam"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    from edgekit.testing.reference import REFERENCE

    teacher: nn.Module = REFERENCE["cifar_resnet56"]().model
    student: nn.Module = REFERENCE["cifar_resnet56"]().model
    fewer, parameters = _pruned(student, options.importance)
    start = _accuracy(student)
    _train(student, teacher, _optimizer(student, options.optimizer), options.seed, options.seconds)
    _write(options.out, Run(options.name, options.seed, fewer, parameters, start, _accuracy(student)))
    return 0


def _pruned(model: Any, importance: str) -> tuple[float, int]:
    """Remove channels; returns how many times fewer multiply-accumulates are left, and how many parameters."""
    import torch_pruning as tp

    example = torch.zeros(1, 3, 32, 32)
    stream = [model.conv1, *(block.conv2 for layer in (model.layer1, model.layer2, model.layer3) for block in layer)]
    chosen = tp.importance.MagnitudeImportance(p=1) if importance == "l1" else tp.importance.GroupMagnitudeImportance(p=2)
    pruner = tp.pruner.BasePruner(
        model,
        example,
        importance=chosen,
        global_pruning=True,
        pruning_ratio=1.0,
        max_pruning_ratio=0.9,
        iterative_steps=STEPS,
        ignored_layers=[model.linear, *stream],
    )
    whole, _ = tp.utils.count_ops_and_params(model, example)
    left, parameters = whole, 0
    while whole / left < FEWER:
        pruner.step()
        left, parameters = tp.utils.count_ops_and_params(model, example)
    return whole / left, int(parameters)


def _optimizer(student: nn.Module, name: str) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(student.parameters(), **SGD)  # type: ignore[arg-type]
    return torch.optim.AdamW(student.parameters(), LEARNING_RATE, weight_decay=0.0)


def _train(student: nn.Module, teacher: nn.Module, optimizer: torch.optim.Optimizer, seed: int, seconds: float) -> None:
    """The loss, the batches and the schedule that edgekit's run has."""
    from edgekit.compress.training.batches import augmented, rows_of
    from edgekit.compress.training.losses import Batch
    from edgekit.compress.training.schedule import Budget, rate
    from edgekit.testing.data import cifar_train, normalized_nchw

    images, labels = cifar_train()
    x, y = torch.from_numpy(normalized_nchw(images)), F.one_hot(torch.from_numpy(labels).long(), 10).float()
    largest = optimizer.param_groups[0]["lr"]
    student.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    teacher.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    budget, step, size = Budget(None, seconds), 0, int(TRAINING["batch_size"])  # type: ignore[call-overload]
    while budget.done(step) < 1:
        rows = rows_of(step, size, len(x), seed)
        batch = augmented(Batch([x[rows]], y[rows]), TRAINING["augment"], step, seed)  # type: ignore[arg-type]
        for group in optimizer.param_groups:
            group["lr"] = largest * rate("cosine", budget.done(step), 0.05)
        loss = _loss(student(batch.inputs[0]), _asked(teacher, batch.inputs[0]), batch.labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        step += 1


def _loss(scores: Tensor, wanted: Tensor, labels: Tensor | None) -> Tensor:
    temperature = float(TRAINING["temperature"])  # type: ignore[arg-type]
    soft = F.kl_div(F.log_softmax(scores / temperature, 1), F.log_softmax(wanted / temperature, 1), reduction="batchmean", log_target=True)
    return soft * temperature**2 + F.cross_entropy(scores, labels)  # type: ignore[arg-type]


@torch.no_grad()
def _asked(teacher: nn.Module, x: Tensor) -> Tensor:
    return teacher(x)  # type: ignore[no-any-return]


@torch.no_grad()
def _accuracy(model: nn.Module) -> float:
    from edgekit.testing.data import cifar_test, normalized_nchw

    images, labels = cifar_test()
    model.eval()
    return float((model(torch.from_numpy(normalized_nchw(images))).argmax(1).numpy() == labels).mean())


if __name__ == "__main__":
    sys.exit(main())
