"""What the MNN runtime does inside its worker process; no torch."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.timing import OpTime, OpTrace, Pace
from edgekit_runtimes import _feeding as feeding
from edgekit_runtimes import _launching, _sessions
from edgekit_runtimes._mnn_session import Session, copied, dtype_of
from edgekit_runtimes._sessions import Answer, Arrays

_PART = re.compile(r"_raster_\d+$")
"""What MNN adds to an operator's name for the copies it makes of it; the last of them, or the operator itself, has its result."""
SOURCE = "MNN's callbacks around every operator: mean of all runs, without the time of the callbacks' own calls"


def run(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Run every sample."""
    return _sessions.run(opened(arguments), arrays)


def inspect(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Load and allocate; say what is in the file and what runs."""
    session = opened(arguments)
    ports = {side: [p.to_json() for p in getattr(session, side)] for side in ("inputs", "outputs")}
    ran: list[str] = []
    session.watch(lambda tensors, name: not ran.append(name))  # type: ignore[func-returns-value]
    return {**ports, "ops": [{"index": i, "name": name, "delegated": False} for i, name in enumerate(ran)]}, {}


def layers(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """The results of the operators called ``arguments["layers"]`` on every sample, in the order of their own dimensions."""
    session, wanted = opened(arguments), set(arguments["layers"])
    rows: dict[str, list[np.ndarray]] = defaultdict(list)
    last: dict[str, np.ndarray] = {}

    def keep(tensors: list[Any], name: str) -> bool:
        operator = _PART.sub("", name)
        if operator in wanted and dtype_of(tensors[0]) == np.float32:
            last[operator] = copied(tensors[0], np.dtype("float32"))
        return True

    count, batch = feeding.check(session, arrays), feeding.prepare(session, arrays)
    for start in range(0, count, batch):
        last.clear()
        feeding.feed(session, arrays, start, batch)
        session.watch(keep)
        for name, value in last.items():
            rows[name].append(value)
    whole = {name: np.concatenate(values)[:count] for name, values in rows.items() if values[0].ndim}
    return {"names": list(whole)}, {str(i): value for i, value in enumerate(whole.values())}


def measure(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Time one launch."""
    return _launching.measure(Path(arguments["model"]), lambda: opened(arguments), arrays, Pace(**arguments["pace"]))


def trace(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """An `OpTrace`, as JSON."""
    session = opened(arguments)
    _sessions.feed_one(session, arrays)
    times: dict[str, float] = defaultdict(float)
    runs, end = 0, time.perf_counter() + float(arguments["seconds"])
    while runs < 3 or (time.perf_counter() < end and runs < 500):
        _timed_run(session, times)
        runs += 1
    ops = tuple(OpTime(None, name, "", False, total / runs / 1e3) for name, total in times.items())
    return asdict(OpTrace(ops, runs, SOURCE)), {}


def _timed_run(session: Session, times: dict[str, float]) -> None:
    """Add one run's nanoseconds of each operator."""
    began = [0]

    def before() -> None:
        began[0] = time.perf_counter_ns()

    def after(tensors: list[Any], name: str) -> bool:
        times[name] += time.perf_counter_ns() - began[0]
        before()
        return True

    before()
    session.watch(after)


def opened(arguments: dict[str, Any]) -> Session:
    """The session a request asks for."""
    return Session(Path(arguments["model"]), arguments["delegate"], arguments["threads"])
