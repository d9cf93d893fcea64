"""What the LiteRT runtime does inside its worker process; no torch, no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgekit_runtimes import _litert_feeding as feeding
from edgekit_runtimes._litert_feeding import Arrays
from edgekit_runtimes._litert_session import Port, Session

Answer = tuple[dict[str, Any], dict[str, np.ndarray]]


def run(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Run every sample, one batch of the model at a time."""
    session = opened(arguments)
    samples = feeding.check(session, arrays)
    batch = feeding.prepare(session, arrays)
    rows: dict[str, list[np.ndarray]] = {p.name: [] for p in session.outputs}
    for start in range(0, samples, batch):
        session.reset()
        feeding.feed(session, arrays, start, batch)
        session.invoke()
        for name, value in session.fetch().items():
            rows[name].append(value)
    return {}, {p.name: _stacked(rows[p.name], p, batch)[:samples] for p in session.outputs}


def inspect(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Load and allocate; say what is in the file and what would run where."""
    session = opened(arguments)
    ports = {side: [p.to_json() for p in getattr(session, side)] for side in ("inputs", "outputs")}
    return {**ports, "ops": [op.to_json() for op in session.ops()], "arena_bytes": session.arena_bytes()}, {}


def opened(arguments: dict[str, Any]) -> Session:
    """The session a request asks for."""
    return Session(Path(arguments["model"]), arguments["delegate"], arguments["threads"])


def _stacked(values: list[np.ndarray], port: Port, batch: int) -> np.ndarray:
    if not values:
        return np.zeros((0, *port.shape[1:]), port.dtype)
    by_row = values[0].ndim > 0 and values[0].shape[0] == batch
    return np.concatenate(values) if by_row else np.stack(values)
