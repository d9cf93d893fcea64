"""Several jobs at once, each in a process of its own that starts in milliseconds.

`edgekit.worker.run` starts Python and imports what its function needs, which is two seconds where that is torch. A nursery is
a process that imports it once, while its owner does something else, and then forks one child a job. It never runs a thread, which is
what makes forking safe; where it finds it has some, and where the system's libraries do not survive a fork (macOS), it starts children
afresh instead.

Jobs and results are files, as in `edgekit.worker`. Children tell of their progress on one pipe, a line of JSON each. An owner
that is interrupted, or killed, closes the nursery's stdin: children are then interrupted, so that they clean up, and killed if that takes
longer than `GRACE` seconds.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgekit import progress, worker
from edgekit.errors import EdgekitError

GRACE = 10.0
"""Seconds an interrupted child may take to clean up."""
QUIET = 0.05
"""Seconds between two reports of the same step."""


@dataclass(frozen=True)
class Job:
    """A call of ``package.module:function``, whose signature `edgekit.worker` gives.

    Attributes:
        key: What its events are called by.
        function: What is called.
        arguments: JSON values.
        arrays: Handed over as they are.
    """

    key: str
    function: str
    arguments: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Progressed:
    """A job told of its progress: see `edgekit.progress.report`."""

    key: str
    title: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Ended:
    """A job is over.

    Attributes:
        key: The job's.
        value: What the function returned, or None where it failed.
        arrays: The same.
        error: Why it failed, or None.
    """

    key: str
    value: dict[str, Any] | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    error: EdgekitError | None = None


class Nursery:
    """A process that makes processes. A context manager; leaving it ends all that still runs.

    Args:
        *modules: What jobs will need; imported at once, in the background.
        environment: Variables to set for it and all its children.
    """

    def __init__(self, *modules: str, environment: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-")
        self._started = 0
        with worker.interrupts_held(), (self._path / "log").open("wb") as log:
            self._process = subprocess.Popen(
                worker.python("edgekit.nursery", *modules),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                env={**worker.surroundings(), **(environment or {})},
            )  # fmt: skip

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            with suppress(OSError):
                self._pipe(self._process.stdin).close()
            if self._started:
                self._process.wait(GRACE + 5)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._pipe(self._process.stdout).close()
            self._folder.cleanup()

    @property
    def _path(self) -> Path:
        return Path(self._folder.name)

    @staticmethod
    def _pipe(pipe: Any) -> Any:
        assert pipe is not None
        return pipe

    def run(self, jobs: Sequence[Job], limit: int | None = None) -> Iterator[Progressed | Ended]:
        """Run all jobs, at most `limit` at a time, and yield what they tell as it happens: one `Ended` each, in the order they end."""
        waiting, running = list(jobs), dict[str, Job]()
        while waiting or running:
            while waiting and (limit is None or len(running) < limit):
                job = waiting.pop(0)
                running[self._start(job)] = job
            line = self._pipe(self._process.stdout).readline()
            if not line:
                yield from (self._lost(job) for job in (*running.values(), *waiting))
                return
            message = json.loads(line)
            job = running[message["job"]]
            if "exit" in message:
                yield self._ended(job, running, message)
            else:
                yield Progressed(job.key, message["title"], message["done"], message["total"])

    def _start(self, job: Job) -> str:
        self._started += 1
        folder = Path(tempfile.mkdtemp(dir=self._path))
        worker.write_job(folder, job.function, job.arguments, job.arrays)
        with suppress(OSError):  # the nursery is gone, which reading will tell
            self._pipe(self._process.stdin).write(f"{folder}\n".encode())
            self._pipe(self._process.stdin).flush()
        return folder.name

    def _ended(self, job: Job, running: dict[str, Job], message: Mapping[str, Any]) -> Ended:
        del running[message["job"]]
        folder = self._path / message["job"]
        try:
            worker.check_exit(job.function, folder, message["exit"])
            return Ended(job.key, *worker.read_result(job.function, folder))
        except EdgekitError as error:
            return Ended(job.key, error=error)

    def _lost(self, job: Job) -> Ended:
        log = (self._path / "log").read_text(errors="replace")[-4000:]
        return Ended(job.key, error=worker.WorkerCrashed(job.function, worker.Crash("the process that starts workers has died", log)))


class _Children:
    """The nursery's own side: starts children, waits for them, and tells its owner."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._jobs: dict[int, str] = {}

    def start(self, folder: Path) -> None:
        if sys.platform == "linux" and _threads() == 1:
            pid = os.fork()
            if pid == 0:
                _become_worker(folder, self._out)
        else:
            command = worker.python("edgekit.nursery", "--job", str(folder))
            pid = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._out, stderr=subprocess.DEVNULL).pid
        self._jobs[pid] = folder.name

    def reap(self) -> None:
        """Tell of all that have ended."""
        for pid in list(self._jobs):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                _tell(self._out, {"job": self._jobs.pop(pid), "exit": os.waitstatus_to_exitcode(status)})

    def end(self) -> None:
        """Interrupt all, and kill those that take too long to clean up."""
        deadline = time.monotonic() + GRACE
        self._signal(signal.SIGINT)
        while self._jobs and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.02)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for pid in self._jobs:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _tell(out: int, message: Mapping[str, Any]) -> None:
    with suppress(OSError):  # nobody listens any more
        os.write(out, (json.dumps(message) + "\n").encode())


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _become_worker(folder: Path, out: int) -> None:
    """Do the job of `folder` in this fresh process, and end it."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        with progress.listening(_Reporter(folder.name, out)):
            worker.serve(folder)
        code = 0
    except KeyboardInterrupt:
        code = 130
    except BaseException:  # told by the log
        import traceback  # noqa: PLC0415

        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class _Reporter:
    """A progress listener that tells the owner, seldom enough not to cost anything."""

    def __init__(self, job: str, out: int) -> None:
        self._job, self._out = job, out
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, title: str, done: int, total: int | None) -> None:
        title, now = title[:200], time.monotonic()
        if title == self._last[0] and done != total and now < self._last[1] + QUIET:
            return
        self._last = (title, now)
        _tell(self._out, {"job": self._job, "title": title, "done": done, "total": total})


def _tend(modules: Sequence[str]) -> None:
    """The nursery's life: import, then start a child for each line of stdin, until that closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.dup(1)
    os.dup2(2, 1)
    gc.disable()
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    gc.enable()
    children, orders, woken = _Children(out), _Lines(0), _wakeups()
    with selectors.DefaultSelector() as selector:
        for descriptor in (0, woken):
            selector.register(descriptor, selectors.EVENT_READ)
        while not orders.ended:
            ready = {key.fd for key, _ in selector.select()}
            if woken in ready:
                os.read(woken, 4096)
                children.reap()
            for folder in orders.read() if 0 in ready else ():
                children.start(Path(folder))
    children.end()


def _wakeups() -> int:
    """A descriptor that is readable whenever a child has ended."""
    reading, writing = os.pipe()
    for descriptor in (reading, writing):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


class _Lines:
    """Lines of a pipe, as far as they have arrived."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._rest, self.ended = descriptor, b"", False

    def read(self) -> list[str]:
        received = os.read(self._descriptor, 65536)
        self.ended = not received
        *lines, self._rest = (self._rest + received).split(b"\n")
        return [os.fsdecode(line) for line in lines]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        _become_worker(Path(sys.argv[2]), os.dup(1))
    _tend(sys.argv[1:])
