"""Processes that tests start: told apart by an argument, and awaited however busy the machine is."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import psutil


def own_argument() -> str:
    """Seconds for ``sleep`` that no other process has among its arguments, whatever random numbers a test draws; for ever, in effect."""
    return str(10**9 + uuid.uuid4().int % 10**9)


def running(argument: str) -> list[int]:
    """The processes with `argument` within one of theirs."""
    found = (p.pid for p in psutil.process_iter(["cmdline"]) if any(argument in word for word in p.info["cmdline"] or ()))
    return [pid for pid in found if not ended(pid)]


def ended(pid: int) -> bool:
    """Whether a process runs no more; one that its parent has not asked for yet has ended too."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for the condition; fails the test where it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
