"""Marks a program sets while an emulator counts its instructions, and the emulated device that collects them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, runtime_checkable

from edgekit.counting import InstructionCount
from edgekit.devices import Completed
from edgekit.errors import DeviceFailed

CLASSES = ("load", "store", "branch", "simd", "dot_product")
"""What ``counter.c`` tells apart, in its order; names of `edgekit.counting.CLASSES`."""


class Kind(IntEnum):
    """What a mark means, as in ``runner.c``."""

    BEGIN = 0
    END = 1
    TICK = 2


@dataclass(frozen=True)
class Mark:
    """The counters' state when the program set a mark.

    Attributes:
        kind: What it means.
        processors: Threads the program had started by then.
        counters: Total, then `CLASSES`, since the program began.
    """

    kind: Kind
    processors: int
    counters: tuple[int, ...]

    def to(self, later: Mark) -> InstructionCount:
        """What was executed between this mark and a later one."""
        total, *classes = (after - before for before, after in zip(self.counters, later.counters, strict=True))
        return InstructionCount(total, dict(zip(CLASSES, classes, strict=True)))


@runtime_checkable
class CountingTransport(Protocol):
    """An `edgekit.devices.Transport` to an emulator that counts."""

    def count(self, argv: Sequence[str], *, folder: str, timeout: float) -> tuple[Completed, tuple[Mark, ...]]:
        """As `Transport.run`, with the marks that were set."""


def read(text: str) -> tuple[Mark, ...]:
    """The marks ``counter.c`` wrote, a line each.

    Raises:
        DeviceFailed: It is damaged.
    """
    try:
        rows = [tuple(map(int, line.split())) for line in text.splitlines()]
        marks = tuple(Mark(Kind(row[0]), row[1], row[2:]) for row in rows)
    except (ValueError, IndexError):
        raise DeviceFailed("the emulator's counter wrote garbage", next_step="run again") from None
    if any(len(mark.counters) != 1 + len(CLASSES) for mark in marks):
        raise DeviceFailed("the emulator's counter was stopped before it was done", next_step="run again")
    return marks
