"""Where the time of a conversion goes: one name and one duration a step, told as they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edgekit import progress

OnStep = Callable[[str, float], None]
"""Called with a step's name and its seconds when it ends."""


@dataclass
class Steps:
    """Times named steps and reports them as progress.

    Attributes:
        listener: Told each step as it ends, or None.
        seconds: What was timed so far, in order.
    """

    listener: OnStep | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block as `name`; a name used twice adds up."""
        progress.report(name, 0)
        start = time.perf_counter()
        yield
        took = time.perf_counter() - start
        self.add(name, took)
        progress.report(name, 1, 1)
        if self.listener is not None:
            self.listener(name, took)

    def add(self, name: str, seconds: float) -> None:
        """Note what `name` took: an `OnStep`."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
