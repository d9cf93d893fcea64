"""What the ONNX Runtime runtime does inside its worker process; no torch."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgekit.onnxfile import read_model
from edgekit.timing import OpTime, OpTrace, Pace
from edgekit_runtimes import _launching, _sessions
from edgekit_runtimes._onnx_constants import constants
from edgekit_runtimes._onnxruntime_session import Session, with_outputs
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


def layers(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """The values called ``arguments["layers"]`` on every sample: the file with those for outputs too, without fusions."""
    model = folder / "layers.onnx"
    names = with_outputs(Path(arguments["model"]), arguments["layers"], model)
    session = Session(model, "none", arguments["threads"])
    return _sessions.layers(session, arrays, lambda: {name: value for name, value in session.fetch().items() if name in names})


def weights(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """The file's real constants; their names, and the arrays by number."""
    found = constants(read_model(Path(arguments["model"])))
    return {"names": list(found)}, {str(i): array for i, array in enumerate(found.values())}


def measure(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Time one launch."""
    return _launching.measure(Path(arguments["model"]), lambda: opened(arguments), arrays, Pace(**arguments["pace"]))


def trace(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """An `OpTrace`, as JSON."""
    if arguments["delegate"] == "reference":
        return asdict(OpTrace(reason="onnx' reference evaluator has no profiler")), {}
    session = Session(Path(arguments["model"]), arguments["delegate"], arguments["threads"], profile=folder / "profile")
    _sessions.feed_one(session, arrays)
    runs, end = 0, time.perf_counter() + float(arguments["seconds"])
    while runs < 3 or (time.perf_counter() < end and runs < 500):
        session.invoke()
        runs += 1
    events = json.loads(session.end_profiling().read_text())
    return asdict(OpTrace(op_times(events, runs, {op["node"]: op["index"] for op in session.ops()}), runs, SOURCE)), {}


def op_times(events: list[dict[str, Any]], runs: int, places: Mapping[str, int]) -> tuple[OpTime, ...]:
    """Mean times of the optimized graph's nodes, in execution order; those named after a node of the file get its place there."""
    totals: dict[tuple[str, str], float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            totals[event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]] += event["dur"]
    return tuple(OpTime(places.get(node), op, node, False, total / runs) for (node, op), total in totals.items())


def opened(arguments: dict[str, Any]) -> Session:
    """The session a request asks for."""
    return Session(Path(arguments["model"]), arguments["delegate"], arguments["threads"])
