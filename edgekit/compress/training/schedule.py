"""How far a training is, and the learning rate there."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

SCHEDULES: dict[str, str] = {
    "cosine": "from the learning rate to nothing along half a cosine (Loshchilov and Hutter 2017)",
    "linear": "from the learning rate to nothing along a line",
    "constant": "the learning rate all along",
}


@dataclass
class Budget:
    """What a training may take: steps, seconds, or what ends first.

    With seconds, progress follows the clock (Li, Yumer and Ramanan 2020, "Budgeted training"): however fast the machine, the schedule
    comes to its end.

    Attributes:
        steps: None for as many as there is time for.
        seconds: None for as long as it takes.
        spent: Seconds that went by before this process.
    """

    steps: int | None
    seconds: float | None
    spent: float = 0.0

    def __post_init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return self.spent + time.perf_counter() - self._start

    def done(self, step: int) -> float:
        """Share of the training that lies behind `step`, 1 at its end."""
        by_steps = step / self.steps if self.steps is not None else 0.0
        by_clock = self.elapsed / self.seconds if self.seconds is not None else 0.0
        return min(max(by_steps, by_clock), 1.0)


def rate(schedule: str, done: float, warmup: float) -> float:
    """The learning rate in shares of the largest, when `done` of the training is over.

    Args:
        schedule: A key of `SCHEDULES`.
        done: 0 to 1.
        warmup: Share of the training in which the rate rises along a line.
    """
    if done < warmup:
        return (done + 0.01 * warmup) / (1.01 * warmup)
    rest = (done - warmup) / (1 - warmup)
    return {"cosine": (1 + math.cos(math.pi * rest)) / 2, "linear": 1 - rest, "constant": 1.0}[schedule]
