"""What TFLite's ``benchmark_model`` prints, read: its versions differ in prefixes, columns and separators."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.errors import DeviceFailed
from edgekit.timing import OpTime
from edgekit_runtimes._litert_capi import OPERATOR

_NUMBER = r"([\d.]+(?:e[+-]?\d+)?)"
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_RUNS = re.compile(rf"count=(\d+) .*?\bavg={_NUMBER} std={_NUMBER}(?:.*?\bmedian={_NUMBER})?")
_PROFILE = "Operator-wise Profiling Info for Regular Benchmark Runs"
_DELEGATED = 1 << 3
_COLUMNS = ("[node type]", "[avg ms]", "[times called]", "[Name]")


@dataclass(frozen=True)
class Report:
    """One process.

    Attributes:
        init_us: Loading and planning.
        first_us: The first run.
        warmup_us: Mean of warm-up runs.
        mean_us: Mean of the runs that count.
        median_us: Their median, where this version tells it.
        std_us: Their standard deviation.
        runs: How many.
        events: Of the operator table, in run order: name, type of LiteRT's event, index, microseconds.
        operators: The same rows as they stand, for where they cannot be matched with the file's operators.
    """

    init_us: float
    first_us: float
    warmup_us: float
    mean_us: float
    median_us: float | None
    std_us: float
    runs: int
    events: tuple[tuple[str, int, int, int], ...] = ()
    operators: tuple[OpTime, ...] = ()

    @property
    def typical_us(self) -> float:
        """The median, else the mean."""
        return self.mean_us if self.median_us is None else self.median_us


def read(text: str) -> Report:
    """Read what it printed.

    Raises:
        DeviceFailed: The figures are not there.
    """
    summary, runs = _SUMMARY.search(text), _RUNS.findall(text)
    if summary is None:
        raise DeviceFailed("benchmark_model printed no timings", next_step="run it by hand: does it load the model?")
    try:
        init, first, warmup, mean = map(float, summary.groups())
        count, _, std, median = runs[-1] if runs else ("1", "0", "0", "")
        events, operators = _operators(text)
        return Report(init, first, warmup, mean, float(median) if median else None, float(std), int(count), events, operators)
    except ValueError as error:
        raise DeviceFailed(f"benchmark_model printed figures that are none: {error}") from None


def _operators(text: str) -> tuple[tuple[tuple[str, int, int, int], ...], tuple[OpTime, ...]]:
    lines = iter(text.partition(_PROFILE)[2].splitlines())
    header = next((line for line in lines if "[node type]" in line), None)
    if header is None:
        return (), ()
    names = re.findall(r"\[[^\]]+\]", header)
    if any(column not in names for column in _COLUMNS):
        return (), ()
    where = [names.index(column) for column in _COLUMNS]
    events, rows = [], []
    for line in lines:
        cells = [cell.strip() for cell in re.split(r"\s*\t\s*|\s{2,}", line.strip())]
        if len(cells) != len(names):
            break
        kind, mean_ms, calls, name = (cells[i] for i in where)
        index, delegated = name.rpartition(":")[2], name.startswith("Delegate/")
        us = float(mean_ms) * max(1, int(calls)) * 1e3
        known = int(index) if index.isdecimal() and int(calls) == 1 else None
        events.append((kind, _DELEGATED if delegated else OPERATOR, -1 if known is None else known, round(us)))
        rows.append(OpTime(None if delegated else known, kind, kind if delegated else "", delegated, us))
    return tuple(events), tuple(rows)
