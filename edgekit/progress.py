"""Progress of long work, told to whoever listens.

Library code writes ``for x in track("calibrating", xs)``. Nothing is shown unless a listener is installed
with `listening`; the command line installs one that draws bars on a terminal and is silent elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
OF = " · "
"""In a title, between one of several things that go on at once and its step: ``android · quantize``."""
Listener = Callable[[str, int, int | None], None]
"""Called with the title, how many are done, and the total if it is known."""

_listener: ContextVar[Listener | None] = ContextVar("progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Install a listener for the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def as_part(name: str) -> Iterator[None]:
    """Report what the block does as steps of `name`, one of several things that go on at once."""
    if outer := _listener.get():
        with listening(lambda title, done, total: outer(f"{name}{OF}{title}", done, total)):
            yield
    else:
        yield


def report(title: str, done: int, total: int | None = None) -> None:
    """Tell the listener, if there is one, that `done` of `total` steps of `title` are done."""
    if listener := _listener.get():
        listener(title, done, total)


def track(title: str, items: Iterable[T], total: int | None = None) -> Iterator[T]:
    """Yield from `items`, reporting each."""
    count = total if total is not None else len(items) if isinstance(items, Sized) else None
    done = 0
    report(title, done, count)
    for item in items:
        yield item
        done += 1
        report(title, done, count)
    report(title, done, done)
