"""Progress on a terminal, and how long each phase took.

Library code reports through `edgekit.progress`; here is who listens. On a terminal every phase is a bar on stderr that
vanishes at the end; elsewhere nothing is drawn. Either way the phases' times are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgekit import progress
from edgekit.cli.terminal import Terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Phases:
    """The phases of one command, in the order they began.

    A phase lasts until the next one begins, so that the times add up to the whole.
    """

    def __init__(self) -> None:
        self._starts: list[tuple[str, float]] = []
        self._end: float | None = None

    def begin(self, title: str) -> None:
        """Note that `title` goes on now, unless it has begun before."""
        if title not in (known for known, _ in self._starts):
            self._starts.append((title, time.perf_counter()))

    def end(self) -> None:
        """Note that the last phase is over."""
        self._end = time.perf_counter()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each phase."""
        end = self._end if self._end is not None else time.perf_counter()
        stops = [start for _, start in self._starts[1:]] + [end]
        return {title: stop - start for (title, start), stop in zip(self._starts, stops, strict=True)}


@contextmanager
def bars(terminal: Terminal, first: str) -> Iterator[Phases]:
    """Draw the progress of the block, if `terminal` is one; `first` shows at once, before anything has been imported."""
    phases = Phases()
    phases.begin(first)
    if terminal.quiet or terminal.debug or not terminal.err.isatty():
        with progress.listening(lambda title, done, total: phases.begin(_row(title))):
            yield phases
        phases.end()
        return
    terminal.err.write(f"{first} …\r")
    terminal.err.flush()
    with _drawn(terminal) as drawing:
        tasks: dict[str, TaskID] = {first: drawing.add_task(first, total=None)}

        def listen(title: str, done: int, total: int | None) -> None:
            row = _row(title)
            phases.begin(row)
            if row not in tasks:
                drawing.update(tasks[first], visible=False)
                tasks[row] = drawing.add_task(title, total=total)
            drawing.update(tasks[row], description=title, completed=done, total=total)

        with progress.listening(listen):
            yield phases
    phases.end()


def _row(title: str) -> str:
    """What has one bar: things that go on at once have one each, whatever their step; so has what tells its loss as it goes."""
    return title.partition(progress.OF)[0]


def _drawn(terminal: Terminal) -> Progress:
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Count(ProgressColumn):
        """``12/200``; nothing for a phase that does not count."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.completed:.0f}/{task.total:.0f}" if task.total is not None and task.total > 1 else "")

    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), BarColumn(bar_width=24), Count(), TimeElapsedColumn())
    console = terminal.console(terminal.err)
    return Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
