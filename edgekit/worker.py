"""Run a function in a process of its own, so that native code can crash, hang or eat memory without us.

The function is named ``package.module:function`` and has the signature

    def function(arguments: dict, arrays: dict[str, np.ndarray], folder: Path) -> tuple[dict, dict[str, np.ndarray]]

Arguments and result are JSON plus numpy arrays, exchanged as files in a private folder; nothing is
pickled. An `EdgekitError` raised there is raised here again. A vendor's chatter on stdout and stderr goes
to a log file. The worker imports only what the function's module imports,
and finds modules where the caller does.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from edgekit import errors


@dataclass(frozen=True)
class Crash:
    """How a worker ended without a result."""

    reason: str
    log: str


class WorkerCrashed(errors.EdgekitError):
    """The worker died, hung or ran out of memory. `crash.log` holds the end of what it printed."""

    exit_code = 5

    def __init__(self, function: str, crash: Crash) -> None:
        self.crash = crash
        tail = crash.log.strip().splitlines()
        said = f" ({tail[-1].strip()})" if tail and tail[-1].strip() not in crash.reason else ""
        super().__init__(f"native code failed in {function.rpartition(':')[2]}: {crash.reason}{said}")


def run(
    function: str,
    arguments: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray] | None = None,
    *,
    timeout: float = 600.0,
    environment: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Call `function` in a fresh process.

    Args:
        function: ``package.module:function``.
        arguments: JSON values.
        arrays: Arrays handed over as they are.
        timeout: Seconds after which the process is killed.
        environment: Variables to set for it.

    Raises:
        WorkerCrashed: It was killed by a signal, hung past `timeout`, or raised something unforeseen.
        EdgekitError: The function raised this.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        folder = Path(name)
        write_job(folder, function, arguments, arrays)
        _spawn(function, folder, timeout, environment)
        return read_result(function, folder)


def write_job(folder: Path, function: str, arguments: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
    """Write what `serve` reads."""
    (folder / "job.json").write_text(json.dumps({"function": function, "arguments": dict(arguments)}))
    _save(folder / "arrays.npz", arrays or {})


def _spawn(function: str, folder: Path, timeout: float, environment: Mapping[str, str] | None) -> None:
    command, env = python("edgekit.worker", str(folder)), {**surroundings(), **(environment or {})}
    process = None
    with (folder / "log").open("wb") as log:
        try:
            with interrupts_held():
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True)
            code = _ended(process, timeout)
        except BaseException as error:
            if process is not None:
                _kill(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise WorkerCrashed(function, Crash(f"no answer within {timeout:.0f} s", _log(folder))) from None
            raise
    check_exit(function, folder, code)


def _ended(process: subprocess.Popen[bytes], timeout: float) -> int:
    """The exit code, as soon as there is one: `Popen.wait` with a time limit looks only every 50 ms."""
    with suppress(AttributeError, OSError):  # Linux only, and not in every sandbox
        descriptor = os.pidfd_open(process.pid)
        try:
            waiting = select.poll()
            waiting.register(descriptor, select.POLLIN)
            timeout = timeout if waiting.poll(1000 * timeout) else 0.0
        finally:
            os.close(descriptor)
    return process.wait(timeout)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-P", "-m", module, *arguments]


def surroundings() -> dict[str, str]:
    """Environment of a process that finds modules where this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p or str(Path.cwd()) for p in sys.path)}


def check_exit(function: str, folder: Path, code: int) -> None:
    """Raise `WorkerCrashed` unless a worker's exit code is 0."""
    if code != 0:
        raise WorkerCrashed(function, Crash(_reason(code), _log(folder)))


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Deliver Ctrl-C after the block: one that comes while a process is being made would leave a child nobody knows of."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield  # Python runs no handler here
        return
    held: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        before(*held[0])


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, most likely out of memory" if name == "SIGKILL" else name


def _log(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")[-4000:]


def read_result(function: str, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `serve` wrote.

    Raises:
        WorkerCrashed: Nothing, or that the function raised something unforeseen.
        EdgekitError: The function raised this.
    """
    try:
        answer = json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        raise WorkerCrashed(function, Crash("no result was written", _log(folder))) from None
    if "unforeseen" in answer:
        raise WorkerCrashed(function, Crash(answer["unforeseen"], _log(folder)))
    if "error" in answer:
        raise _revive(answer["error"])
    with np.load(folder / "result.npz", allow_pickle=False) as data:
        return answer["value"], {k: data[k] for k in data.files}


def _revive(error: dict[str, Any]) -> errors.EdgekitError:
    cls: type[errors.EdgekitError] = getattr(errors, error.pop("type"))
    return cls(error.pop("message"), **{k: v for k, v in error.items() if v is not None})


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def serve(folder: Path) -> None:
    """Do the job of `folder`, in a process that is there for it."""
    job = json.loads((folder / "job.json").read_text())
    module, _, attribute = job["function"].partition(":")
    arrays: Mapping[str, np.ndarray] = {}
    try:
        with np.load(folder / "arrays.npz", allow_pickle=False) as data:
            given = {k: data[k] for k in data.files}
        value, arrays = getattr(importlib.import_module(module), attribute)(job["arguments"], given, folder)
        answer = json.dumps({"value": value})
    except errors.EdgekitError as error:
        answer = json.dumps({"error": _packed(error)})
    except Exception as error:  # whatever a vendor raises is the vendor's failure, told as such
        traceback.print_exc()
        answer = json.dumps({"unforeseen": f"{type(error).__name__}: {error}"})
    _save(folder / "result.npz", arrays)
    (folder / "result.json").write_text(answer)


def _packed(error: errors.EdgekitError) -> dict[str, Any]:
    """An error as JSON; a plug-in's own error class travels as its nearest base that edgekit has."""
    known = next(c for c in type(error).__mro__ if getattr(errors, c.__name__, None) is c)
    fields = ("message", "accepted", "module", "next_step", "op", "shapes")
    return {"type": known.__name__, **{f: getattr(error, f, None) for f in fields}}


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
