"""The training loop: steps, epochs, validation, and the state that a checkpoint holds."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit import progress
from edgekit.compress.training.answers import Answers
from edgekit.compress.training.batches import Data, augmented, rows_of
from edgekit.compress.training.checkpoints import Checkpoint
from edgekit.compress.training.history import Epoch, History
from edgekit.compress.training.losses import Loss, logits
from edgekit.compress.training.own import OwnMetric
from edgekit.compress.training.schedule import Budget, rate
from edgekit.compress.training.student import Student

CHECKPOINT_SECONDS = 30.0
"""A state is kept at the end of each epoch, and as often as this within one."""

AT_ONCE = 64
"""Samples answered at once outside of training steps, at least."""

KEPT, NOW, OPTIMIZER = "kept/", "now/", "optimizer/"


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        batch_size: Samples a step, at most as many as there are.
        learning_rate: The largest.
        schedule: A key of `SCHEDULES`.
        warmup: Share of the training in which the rate rises.
        l1: Factor of the L1 regularisation.
        augment: Keys of `AUGMENTATIONS`.
        keep_best: Whether the best epoch by validation is kept, else the last.
        seed: Of order and augmentation.
        classes: That labels are of, or None for a model that is no classifier.
        device: To train on.
    """

    batch_size: int
    learning_rate: float
    schedule: str
    warmup: float
    l1: float
    augment: tuple[str, ...]
    keep_best: bool
    seed: int
    classes: int | None
    device: torch.device


@dataclass
class Training:
    """One training of one student.

    Attributes:
        student: What trains.
        loss: What is minimized.
        optimizer: Of the parameters of both.
        teacher: Gives `Answers`; None if no term of the loss wants them.
        data: To train on.
        validation: To tell the best epoch, or None.
        metric: Of the answers to all of it and its labels, the larger the better; None for accuracy.
        plan: How to train.
        budget: Steps, seconds, or both.
        file: Keeps the state, and one that is there is gone on from; None to keep nothing.
        history: What happened so far.
    """

    student: Student
    loss: Loss
    optimizer: torch.optim.Optimizer
    teacher: nn.Module | None
    data: Data
    validation: Data | None
    metric: OwnMetric | None
    plan: Plan
    budget: Budget
    file: Path | None = None
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        if self.metric is not None:
            self.history.measure = self.metric.name
        self._learned = nn.ModuleList([self.student.learned, self.loss])
        self._kept: dict[str, Tensor] = {}
        self._per_epoch = len(self.data) // self.plan.batch_size
        fixed = self.teacher is not None and not self.plan.augment
        self._wanted = self._asked(self.data) if fixed else None
        self._checked = None if self.validation is None or self.teacher is None else self._asked(self.validation)

    def run(self) -> None:
        """Train until the budget is spent or a loss is not finite; the student is then as it was after the epoch that is kept."""
        self._begin()
        saved = time.perf_counter()
        while self._goes_on():
            self._step()
            ended = self.history.step % self._per_epoch == 0
            if ended or not self._goes_on():
                self._end_epoch()
            if self.file is not None and (ended or time.perf_counter() - saved > CHECKPOINT_SECONDS):
                self._save()
                saved = time.perf_counter()
        self._save()
        self._learned.load_state_dict(self._kept)

    def notes(self) -> tuple[str, ...]:
        """What the training came to, in words."""
        return self.history.notes(len(self.data), 0 if self.validation is None else len(self.validation))

    def _goes_on(self) -> bool:
        return not self.history.failed and self.budget.done(self.history.step) < 1

    def _begin(self) -> None:
        checkpoint = None if self.file is None else Checkpoint.read(self.file)
        if checkpoint is not None:
            self._restore(checkpoint)
            return
        self.history.end(self._validated(0))
        self._kept = self._state()

    def _step(self) -> None:
        plan, history = self.plan, self.history
        rows = rows_of(history.step, self.plan.batch_size, len(self.data), plan.seed)
        batch = augmented(self.data.batch(rows, plan.classes), plan.augment, history.step, plan.seed).to(plan.device)
        wanted = self._ask(batch.inputs) if self._wanted is None else self._wanted.rows(rows).to(plan.device)
        self.student.train()
        loss = self.loss(batch, self.student(batch.inputs), wanted)
        value = float(loss.detach())
        history.failed = not math.isfinite(value)
        if not history.failed:
            self._descend(loss)
            history.add(value)
            self._tell()

    def _descend(self, loss: Tensor) -> None:
        plan = self.plan
        for group in self.optimizer.param_groups:
            group["lr"] = plan.learning_rate * rate(plan.schedule, self.budget.done(self.history.step), plan.warmup)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for weight in self.student.regularised() if plan.l1 else ():
            if weight.grad is not None:
                weight.grad.add_(weight.detach().sign(), alpha=plan.l1)
        self.optimizer.step()
        self.student.project()

    def _end_epoch(self) -> None:
        """Validate, and keep what is to be kept."""
        epoch = self._validated(-(-self.history.step // self._per_epoch))
        finite = all(bool(t.isfinite().all()) for t in self._learned.state_dict().values() if t.is_floating_point())
        self.history.failed |= not finite or (epoch.loss is not None and not math.isfinite(epoch.loss))
        if not self.history.failed and self.history.end(epoch, keep_last=not self.plan.keep_best or self.validation is None):
            self._kept = self._state()

    @torch.no_grad()
    def _validated(self, number: int) -> Epoch:
        """What the student is worth now."""
        if self.validation is None:
            return Epoch(number, self.history.mean)
        self.student.eval()
        loss, right, count, parts = 0.0, 0, len(self.validation), []
        for rows in self._portions(self.validation):
            batch = self.validation.batch(rows, self.plan.classes).to(self.plan.device)
            wanted = None if self._checked is None else self._checked.rows(rows).to(self.plan.device)
            answers = self.student(batch.inputs)
            loss += float(self.loss(batch, answers, wanted)) * len(rows)
            right += _right(answers, batch.labels, wanted) if self.plan.classes is not None else 0
            parts += [answers] if self.metric is not None else []
        accuracy = right / count if self.plan.classes is not None else None
        metric = accuracy if self.metric is None else self.metric(Answers.joined(parts), self.validation.labels)
        return Epoch(number, self.history.mean, loss / count, metric)

    def _portions(self, data: Data) -> list[Tensor]:
        """Rows to answer at once."""
        rows, size = torch.arange(len(data)), max(self.plan.batch_size, AT_ONCE)
        return [rows[start : start + size] for start in range(0, len(data), size)]

    @torch.no_grad()
    def _ask(self, inputs: list[Tensor]) -> Answers | None:
        return None if self.teacher is None else self.teacher(inputs)

    def _asked(self, data: Data) -> Answers:
        """The teacher's answers to all samples, kept where the data are."""
        parts = []
        for rows in progress.track("asking the teacher", self._portions(data)):
            answers = self._ask(data.batch(rows, None).to(self.plan.device).inputs)
            assert answers is not None
            parts.append(answers.to(torch.device("cpu")))
        return Answers.joined(parts)

    def _tell(self) -> None:
        steps, seconds = self.budget.steps, self.budget.seconds
        done, total = (self.history.step, steps) if seconds is None else (int(self.budget.elapsed), math.ceil(seconds))
        progress.report(f"fine_tune{progress.OF}{self.history.told}", done, total)

    def _state(self) -> dict[str, Tensor]:
        return {name: t.detach().clone() for name, t in self._learned.state_dict().items()}

    def _save(self) -> None:
        if self.file is None:
            return
        moments = self.optimizer.state_dict()["state"]
        tensors = {f"{KEPT}{k}": t for k, t in self._kept.items()} | {f"{NOW}{k}": t for k, t in self._learned.state_dict().items()}
        tensors |= {f"{OPTIMIZER}{i}/{k}": t for i, state in moments.items() for k, t in state.items() if t is not None}
        Checkpoint(tensors, {"elapsed": self.budget.elapsed, "history": asdict(self.history)}).write(self.file)

    def _restore(self, checkpoint: Checkpoint) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): t for k, t in checkpoint.tensors.items() if k.startswith(prefix)}

        self._kept = part(KEPT)
        self._learned.load_state_dict(part(NOW))
        moments: dict[int, dict[str, Tensor]] = {}
        places = [p for group in self.optimizer.param_groups for p in group["params"]]
        for name, tensor in part(OPTIMIZER).items():
            index, _, key = name.partition("/")
            laid = torch.empty_like(places[int(index)]).copy_(tensor) if tensor.dim() else tensor  # as its parameter lies in memory
            moments.setdefault(int(index), {})[key] = laid
        self.optimizer.load_state_dict({"state": moments, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.budget.spent += float(checkpoint.numbers["elapsed"])
        self.history = History.of(checkpoint.numbers["history"])


def _right(answers: Answers, labels: Tensor | None, wanted: Answers | None) -> int:
    """How many samples get the labelled class; the teacher's, where there are no labels."""
    found = logits(answers.scores[0]).argmax(1)
    if labels is not None:
        return int((found == labels.argmax(1)).sum())
    assert wanted is not None
    return int((found == logits(wanted.scores[0]).argmax(1)).sum())
