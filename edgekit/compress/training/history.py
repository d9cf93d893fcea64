"""What happened in a training, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgekit.progress import OF


@dataclass(frozen=True)
class Epoch:
    """How good a student was at the end of an epoch.

    Attributes:
        number: From 1; 0 for the student as it came.
        trained: Mean training loss of the epoch, or None.
        loss: On the validation data, or None without such.
        metric: On the validation data: the user's own, or the share of the samples whose class is right, by labels or by the teacher; None
            for no classifier.
    """

    number: int
    trained: float | None = None
    loss: float | None = None
    metric: float | None = None

    def better(self, other: Epoch) -> bool:
        """By the metric, then by the loss."""
        mine, theirs = ((_ranked(e.metric), _ranked(None if e.loss is None else -e.loss)) for e in (self, other))
        return mine > theirs


def _ranked(value: float | None) -> float:
    """What is missing, or no number, is behind everything."""
    return -math.inf if value is None or math.isnan(value) else value


@dataclass
class History:
    """What happened so far.

    Attributes:
        step: Steps done.
        epochs: Those that ended, beginning with the student as it came.
        kept: Index of the one that is kept.
        sum: Of the losses of the steps since the last epoch ended.
        count: Of these steps.
        failed: Whether a loss was not finite, which ended the training.
        measure: What the metric is called.
    """

    step: int = 0
    epochs: list[Epoch] = field(default_factory=list)
    kept: int = 0
    sum: float = 0.0
    count: int = 0
    failed: bool = False
    measure: str = "accuracy"

    @property
    def mean(self) -> float | None:
        """Mean loss of the steps since the last epoch ended."""
        return self.sum / self.count if self.count else None

    @property
    def told(self) -> str:
        """The loss now, and what validation last said."""
        last, mean = self.epochs[-1], self.mean
        parts = [] if mean is None else [f"loss {mean:.3g}"]
        if last.metric is not None:
            parts.append(f"{self.measure} {last.metric:.3f}")
        elif last.loss is not None:
            parts.append(f"validation loss {last.loss:.3g}")
        return OF.join(parts)

    def add(self, loss: float) -> None:
        """Count a step."""
        self.step, self.sum, self.count = self.step + 1, self.sum + loss, self.count + 1

    def end(self, epoch: Epoch, *, keep_last: bool = False) -> bool:
        """End an epoch; returns whether it is the one to keep now."""
        self.epochs.append(epoch)
        self.sum, self.count = 0.0, 0
        if keep_last or epoch.better(self.epochs[self.kept]):
            self.kept = len(self.epochs) - 1
            return True
        return False

    def notes(self, samples: int, checked: int) -> tuple[str, ...]:
        """What it came to, in words.

        Args:
            samples: Trained on.
            checked: Validated on.
        """
        first, kept, ended = self.epochs[0], self.epochs[self.kept], self.epochs[-1]
        gained = ""
        if kept.metric is not None and first.metric is not None:
            gained = f": {self.measure} {first.metric:.4f} before, {kept.metric:.4f} after on {checked:,} validation samples"
        elif kept.loss is not None and first.loss is not None:
            gained = f": loss {first.loss:.4g} before, {kept.loss:.4g} after on {checked:,} validation samples"
        length = f"{ended.number} epoch{'' if ended.number == 1 else 's'}"
        told = (f"fine-tuned: {length} of {samples:,} samples, epoch {kept.number} kept{gained}",)
        if not self.failed:
            return told
        return (*told, f"training stopped in epoch {ended.number + 1}: the loss was not finite; a lower learning_rate may help")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> History:
        """Inverse of `dataclasses.asdict`."""
        return cls(**{**values, "epochs": [Epoch(**epoch) for epoch in values["epochs"]]})
