"""What an emulated board counted: all instructions so far, at each mark of the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from edgekit.counting import InstructionCount
from edgekit.errors import DeviceFailed
from edgekit_runtimes.micro.thumb import CLASSES


class Kind(IntEnum):
    """What the program says with it."""

    BEGIN = 0
    END = 1
    OP = 2


@dataclass(frozen=True)
class Mark:
    """A mark that was passed.

    Attributes:
        kind: Which.
        counts: Instructions since the board started: the total, then the classes of `thumb.CLASSES`.
    """

    kind: Kind
    counts: tuple[int, ...]

    def to(self, later: Mark) -> InstructionCount:
        """What was executed between this mark and a later one."""
        total, *classes = (b - a for a, b in zip(self.counts, later.counts, strict=True))
        return InstructionCount(total, dict(zip(CLASSES, classes, strict=True)))


@runtime_checkable
class CountingBoard(Protocol):
    """A board that counts. It is an emulator."""

    def marks(self) -> tuple[Mark, ...]:
        """The marks passed since this was last asked."""


@runtime_checkable
class ImageBoard(Protocol):
    """A board that runs any image to its end. It is an emulator."""

    def execute(self, image: Path, *, timeout: float) -> tuple[tuple[Mark, ...], bytes]:
        """Run it; the marks it passed and what it printed."""


def read(text: str) -> tuple[Mark, ...]:
    """The counter's lines.

    Raises:
        DeviceFailed: They are none.
    """
    try:
        rows = [[int(word) for word in line.split()] for line in text.splitlines()]
        return tuple(Mark(Kind(kind), tuple(counts)) for kind, *counts in rows)
    except ValueError:
        raise DeviceFailed("the emulator's counter wrote garbage", next_step="run again") from None


def runs(marks: Sequence[Mark]) -> tuple[tuple[InstructionCount, tuple[InstructionCount, ...]], ...]:
    """For each run between a beginning and its end: all of it, and each operator.

    Raises:
        DeviceFailed: Marks are missing.
    """
    found: list[tuple[InstructionCount, tuple[InstructionCount, ...]]] = []
    begin: Mark | None = None
    last: Mark | None = None
    ops: list[InstructionCount] = []
    for mark in marks:
        if mark.kind is Kind.BEGIN:
            begin, last, ops = mark, mark, []
        elif begin is None or last is None:
            raise DeviceFailed("the program marks an end before a beginning")
        elif mark.kind is Kind.OP:
            ops.append(last.to(mark))
            last = mark
        else:
            found.append((begin.to(mark), tuple(ops)))
            begin = None
    if begin is not None:
        raise DeviceFailed("the program marks a beginning and no end")
    return tuple(found)
