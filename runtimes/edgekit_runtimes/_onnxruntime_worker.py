"""What the ONNX Runtime runtime does inside its worker process; no torch."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgekit.timing import OpTime, OpTrace, Pace
from edgekit_runtimes import _feeding as feeding
from edgekit_runtimes import _launching, _sessions
from edgekit_runtimes._onnxruntime_session import Session
from edgekit_runtimes._sessions import Answer, Arrays

SOURCE = "ONNX Runtime's own profiler: mean of all runs, whole microseconds; names are those of the optimized graph on this CPU"


def run(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Run every sample."""
    return _sessions.run(opened(arguments), arrays)


def inspect(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Load; say what is in the file."""
    session = opened(arguments)
    ports = {side: [p.to_json() for p in getattr(session, side)] for side in ("inputs", "outputs")}
    return {**ports, "ops": session.ops()}, {}


def measure(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Time one launch."""
    return _launching.measure(Path(arguments["model"]), lambda: opened(arguments), arrays, Pace(**arguments["pace"]))


def trace(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """An `OpTrace`, as JSON."""
    if arguments["delegate"] == "reference":
        return asdict(OpTrace(reason="onnx' reference evaluator has no profiler")), {}
    session = Session(Path(arguments["model"]), arguments["delegate"], arguments["threads"], profile=folder / "profile")
    one = {name: value[None] for name, value in arrays.items()}
    feeding.check(session, one)
    feeding.feed(session, one, 0, feeding.prepare(session, one))
    runs, end = 0, time.perf_counter() + float(arguments["seconds"])
    while runs < 3 or (time.perf_counter() < end and runs < 500):
        session.invoke()
        runs += 1
    return asdict(OpTrace(_op_times(json.loads(session.end_profiling().read_text()), runs), runs, SOURCE)), {}


def _op_times(events: list[dict[str, Any]], runs: int) -> tuple[OpTime, ...]:
    """Mean times of the optimized graph's nodes, in execution order; a file's nodes may be fused or split there."""
    totals: dict[tuple[str, str], float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            totals[event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]] += event["dur"]
    return tuple(OpTime(None, op, node, False, total / runs) for (node, op), total in totals.items())


def opened(arguments: dict[str, Any]) -> Session:
    """The session a request asks for."""
    return Session(Path(arguments["model"]), arguments["delegate"], arguments["threads"])
