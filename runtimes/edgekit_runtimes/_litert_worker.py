"""What the LiteRT runtime does inside its worker process; no torch, no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.timing import Pace
from edgekit_runtimes import _launching, _sessions
from edgekit_runtimes._litert_session import Session
from edgekit_runtimes._sessions import Answer, Arrays


def run(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Run every sample."""
    return _sessions.run(opened(arguments), arrays, arguments["batch"])


def inspect(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Load and allocate; say what is in the file and what would run where."""
    session = opened(arguments)
    ports = {side: [p.to_json() for p in getattr(session, side)] for side in ("inputs", "outputs")}
    return {**ports, "ops": [op.to_json() for op in session.ops()], "arena_bytes": session.arena_bytes()}, {}


def layers(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """The real values of the tensors ``arguments["layers"]`` on every sample, by LiteRT's own kernels."""
    delegate = "none" if arguments["delegate"] == "xnnpack" else arguments["delegate"]
    session = Session(Path(arguments["model"]), delegate, arguments["threads"], keep=True)
    return _sessions.layers(session, arrays, lambda: session.read(arguments["layers"]))


def measure(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Time one launch."""
    return _launching.measure(Path(arguments["model"]), lambda: opened(arguments), arrays, Pace(**arguments["pace"]))


def trace(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Take per-operator times."""
    from edgekit_runtimes import _litert_trace  # noqa: PLC0415 - no other function needs LiteRT's C interface

    return _litert_trace.trace(opened(arguments), arguments, arrays)


def opened(arguments: dict[str, Any]) -> Session:
    """The session a request asks for."""
    return Session(Path(arguments["model"]), arguments["delegate"], arguments["threads"])
