"""Per-operator times of a LiteRT model, inside a worker process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.timing import OpTime, OpTrace
from edgekit_runtimes._litert_capi import ProfiledModel, ProfilerMissing
from edgekit_runtimes._litert_kernels import op_times
from edgekit_runtimes._litert_nodes import Node
from edgekit_runtimes._litert_session import Session
from edgekit_runtimes._sessions import Answer, Arrays, feed_one

SOURCE = "LiteRT's own profiler: mean of the calmest three quarters of runs; whole microseconds, a delegate's kernels rounded down"


def trace(session: Session, arguments: Mapping[str, Any], arrays: Arrays) -> Answer:
    """An `OpTrace`, as JSON."""
    feed_one(session, arrays)
    nodes, planned = session.ops(), _planned_arena(arguments, session)
    try:
        ops, runs = _profiled(arguments, session, arrays, nodes)
        result = OpTrace(ops, runs, SOURCE, planned_arena_bytes=planned)
    except ProfilerMissing as missing:
        result = OpTrace(reason=missing.message, planned_arena_bytes=planned)
    return asdict(result), {}


def _planned_arena(arguments: Mapping[str, Any], session: Session) -> int | None:
    """The arena without a delegate, which is the memory a plan of all activations needs."""
    if not any(n.delegated for n in session.ops()):
        return session.arena_bytes()
    return Session(Path(arguments["model"]), "none").arena_bytes()


def _profiled(arguments: Mapping[str, Any], session: Session, arrays: Arrays, nodes: Sequence[Node]) -> tuple[tuple[OpTime, ...], int]:
    model = ProfiledModel(Path(arguments["model"]), arguments["delegate"], arguments["threads"])
    model.bind([np.broadcast_to(arrays[p.name], p.shape) for p in session.inputs], [p.shape for p in session.outputs])
    start = time.perf_counter()
    for _ in range(3):
        model.run()
    duration = (time.perf_counter() - start) / 3
    runs = max(3, min(500, int(arguments["seconds"] / max(duration, 1e-6))))
    return op_times(nodes, model.profile(runs), runs), runs
