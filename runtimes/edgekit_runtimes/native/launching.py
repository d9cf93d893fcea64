"""The runner's answers as edgekit's nouns: outputs, a `Launch`, an `OpTrace`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from edgekit.errors import DeviceFailed
from edgekit.timing import Launch, OpTime, OpTrace, Timings
from edgekit_runtimes._litert_capi import DELEGATE_OPERATOR, OPERATOR, Event, ProfilerMissing
from edgekit_runtimes._litert_kernels import op_times
from edgekit_runtimes._litert_nodes import Node
from edgekit_runtimes.native.process import Answer

SOURCE = "LiteRT's own profiler on the device: mean of the calmest three quarters of runs; whole microseconds, a delegate's rounded down"
SERIES = ("warmup_ns", "samples_ns")


def stacked(answer: Answer) -> dict[str, np.ndarray]:
    """Outputs of shape (samples, *output shape without batch), of arrays of shape (runs, *output shape)."""
    try:
        batch, samples = int(answer.values["batch"]), int(answer.values["samples"])
        return {name: _rows(value, batch)[:samples] for name, value in answer.arrays.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise _garbage(error) from None


def _rows(value: np.ndarray, batch: int) -> np.ndarray:
    by_row = value.ndim > 1 and value.shape[1] == batch
    return value.reshape(-1, *value.shape[2:]) if by_row else value


def launch(answer: Answer) -> Launch:
    """What mode ``time`` measured.

    Raises:
        DeviceFailed: Something is missing, or no time can be like that.
    """
    values, arrays = answer.values, answer.arrays
    try:
        warmup, samples = (arrays[name] for name in SERIES)
        if not (samples.ndim == warmup.ndim == 1 and len(samples) and samples.dtype == warmup.dtype == np.int64):
            raise ValueError("no samples")
        timings = Timings(
            warmup,
            samples,
            float(values["overhead_ns"]),
            float(values["cpu_share"]),
            bool(values["stable"]),
            bool(values["precise"]),
            readings=arrays["readings"].reshape(-1, 4),
        )
        cold, warm, first = (float(values[key]) for key in ("cold_load_ms", "warm_load_ms", "first_run_ms"))
        baseline, peak = (_bytes(values[key]) for key in ("baseline_rss_bytes", "peak_rss_bytes"))
        return Launch(timings, cold, warm, first, bool(values["cache_dropped"]), baseline, peak)
    except (KeyError, TypeError, ValueError) as error:
        raise _garbage(error) from None


def trace(measure: Callable[[], Answer], described: Mapping[str, Any]) -> OpTrace:
    """What mode ``ops`` measured, or why it could not."""
    try:
        answer = measure()
        rows = [(name, kind, index, elapsed) for kind, index, _, elapsed, name in answer.values["events"]]
        runs = int(answer.values["runs"])
        return OpTrace(operators(described, rows, runs), runs, SOURCE)
    except ProfilerMissing as missing:
        return OpTrace(reason=missing.message)
    except (KeyError, TypeError, ValueError) as error:
        raise _garbage(error) from None


def operators(described: Mapping[str, Any], rows: Iterable[tuple[str, int, int, int]], runs: int = 1) -> tuple[OpTime, ...]:
    """The model's operators with what an event log says each took, in its unit.

    Args:
        described: As the engine's `inspect` says.
        rows: Name, type, index and amount of each event, in order.
        runs: So many runs of the model.

    Raises:
        ProfilerMissing: The log is not of this model.
    """
    events = [Event(name, kind != OPERATOR, index, amount) for name, kind, index, amount in rows if kind in {OPERATOR, *DELEGATE_OPERATOR}]
    return op_times(_nodes(described["ops"]), events, runs)


def _nodes(ops: Sequence[Mapping[str, Any]]) -> list[Node]:
    return [Node(**{f.name: op[f.name] for f in fields(Node)}) for op in ops]


def _bytes(value: Any) -> int | None:
    return None if int(value) < 0 else int(value)


def _garbage(error: Exception) -> DeviceFailed:
    return DeviceFailed(f"the native runner answered garbage: {type(error).__name__}: {error}", next_step="run again")
