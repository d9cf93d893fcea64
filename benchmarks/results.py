"""What a benchmark run found, and which of its goals are met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.evaluate import FileFacts
from benchmarks.process import Cost

SCHEMA = "edgekit.bench/1"
OURS = "edgekit"


@dataclass(frozen=True)
class Ratio:
    """Ours divided by a peer's; below 1 is better.

    Attributes:
        value: The ratio.
        low: Lower end of its interval.
        high: Upper end.
        interval: What the interval is.
    """

    value: float
    low: float
    high: float
    interval: str

    @classmethod
    def of_pairs(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        """Ratio of medians of interleaved repeats, with the range of the ratios within a repeat."""
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        return cls(median(ours) / median(theirs), min(ratios), max(ratios), f"range of {len(ratios)} interleaved repeats")

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass
class Entry:
    """One tool on one model.

    Attributes:
        model: The case's name.
        tool: `OURS` or a peer.
        file: Facts about the file it wrote; None where it failed.
        costs: Whole-process conversions, in order.
        failure: Why there is no usable file, or None.
        latency: The tool's file's median in ms, when last compared.
    """

    model: str
    tool: str
    file: FileFacts | None = None
    costs: list[Cost] = field(default_factory=list)
    failure: str | None = None
    latency: float | None = None

    @property
    def seconds(self) -> float | None:
        """Median conversion time."""
        return median(c.seconds for c in self.costs) if self.costs else None

    @property
    def peak_bytes(self) -> float | None:
        """Median peak memory of a conversion."""
        return median(c.peak_bytes for c in self.costs) if self.costs else None


@dataclass(frozen=True)
class Goal:
    """A figure edgekit is held to.

    Attributes:
        name: What it is about.
        measured: The figure, in words.
        wanted: The limit, in words.
        met: Whether it is met.
    """

    name: str
    measured: str
    wanted: str
    met: bool


@dataclass
class Results:
    """One run on one machine."""

    machine: dict[str, Any]
    versions: dict[str, str]
    entries: list[Entry] = field(default_factory=list)
    latency: dict[str, dict[str, Ratio]] = field(default_factory=dict)
    startup: dict[str, list[float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def entry(self, model: str, tool: str) -> Entry:
        """The entry of a tool on a model, made if need be."""
        for entry in self.entries:
            if (entry.model, entry.tool) == (model, tool):
                return entry
        self.entries.append(Entry(model, tool))
        return self.entries[-1]

    def found(self, model: str, tool: str) -> Entry:
        """The entry of a tool on a model; an empty one if it was not measured."""
        return next((e for e in self.entries if (e.model, e.tool) == (model, tool)), Entry(model, tool))

    def to_json(self, goals: Sequence[Goal]) -> dict[str, Any]:
        """The document ``results.json`` holds."""
        return {"schema": SCHEMA, **asdict(self), "goals": [asdict(g) for g in goals]}
