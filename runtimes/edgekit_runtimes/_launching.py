"""One timed launch of a model, inside a worker process, whichever library runs it.

What LiteRT is called by in the loop was chosen by measuring: the interpreter's native `Invoke` costs 0.2 µs more than the model's
own work, a ctypes call of the C API's `LiteRtRunCompiledModel` 0.9 µs plus what that function adds itself (0.6 to 1.5 µs a run).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgekit.timing import Launch, Pace, sample
from edgekit_runtimes._sessions import Answer, Arrays, Session, feed_one


def measure(model: Path, opened: Callable[[], Session], arrays: Arrays, pace: Pace) -> Answer:
    """Cold load, first run, warm-up, samples, warm load: a `Launch`.

    Args:
        model: The file that `opened` loads.
        opened: Loads it.
        arrays: One sample, without its batch dimension.
        pace: Of the launch.
    """
    dropped = _drop_from_cache(model)
    baseline = _status("VmRSS")
    with _stopwatch() as cold:
        session = opened()
    feed_one(session, arrays)
    with _stopwatch() as first:
        session.invoke()
    timings = sample(session.bare_call(), pace, session.idle_call())
    peak, arena = _status("VmHWM"), session.arena_bytes()
    del session
    with _stopwatch() as warm:
        opened()
    return Launch(timings, cold[0], warm[0], first[0], dropped, baseline, peak, arena).to_worker()


@contextmanager
def _stopwatch() -> Iterator[list[float]]:
    """Milliseconds the block took, in a list of one."""
    elapsed: list[float] = []
    start = time.perf_counter_ns()
    yield elapsed
    elapsed.append((time.perf_counter_ns() - start) / 1e6)


def _status(key: str) -> int | None:
    """A size from Linux' account of this process, in bytes; `getrusage` would count what ran before exec too."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":")), None)


def _drop_from_cache(path: Path) -> bool:
    """Ask the system to forget the file's pages; whether it did."""
    if not hasattr(os, "posix_fadvise"):
        return False
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return _resident_share(path) < 0.5


def _resident_share(path: Path) -> float:
    """The share of the file's pages that are in memory, by mincore(2)."""
    size = path.stat().st_size
    if size == 0:
        return 0.0
    pages = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        address = np.frombuffer(mapped, np.uint8).ctypes.data
        status = ctypes.CDLL(None, use_errno=True).mincore(
            ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.c_void_p(pages.ctypes.data)
        )
    return float((pages & 1).mean()) if status == 0 else 1.0
