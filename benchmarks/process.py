"""Run a command and say what it cost: wall time and peak memory of the process and all it started."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLING_SECONDS = 0.1
MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes:
        seconds: From before the process is created until it has ended.
        cpu_seconds: User and system time of it and its children.
        peak_bytes: Largest sum of resident sets over the process tree, by sampling, and never less than the largest
            resident set of one of its processes as the kernel counts it. Pages that processes share count for each.
        code: Exit code; negative for a signal.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    code: int


def run(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Cost:
    """Run `command` to its end with both its outputs in `log`.

    The kernel hands a child the caller's own peak, so the caller must be smaller than what it measures.
    """
    with log.open("wb") as stream:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env={**os.environ, **(environment or {})}
        )
        sampler = _Sampler(process.pid)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.finish()
    peak = max(sampler.peak, usage.ru_maxrss * 1024)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak, process.returncode)


class _Sampler(threading.Thread):
    """Watches the resident sets of a process tree."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._root = psutil.Process(pid)
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(SAMPLING_SECONDS):
            try:
                tree = [self._root, *self._root.children(recursive=True)]
                self.peak = max(self.peak, sum(_resident(p) for p in tree))
            except psutil.NoSuchProcess:
                return

    def finish(self) -> None:
        self._done.set()
        self.join()


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
