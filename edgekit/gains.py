"""What removing parts of a model gained: counted, stored and, above all, measured.

The record goes into the manifest of every artifact whose recipe prunes. Multiply-accumulates and parameters are counted on the graph,
bytes on the files; only `timing` is a measurement, and only it can say that a model became faster. Zeros that stay in the weights make a
download smaller: the kernels of most formats multiply them like any number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

UNMEASURED = "latency was not measured: leave out --no-measure; in Python, convert with unpruned=FOLDER, then edgekit.measure_gains"


@dataclass(frozen=True)
class Size:
    """What a model costs, whatever runs it.

    Attributes:
        macs: Multiply-accumulates of a run.
        parameters: Elements of its weights; zeros count.
        zeros: How many of them pruning holds at zero.
        bytes: Of the model file, or None before it is written.
        zipped: Of the file in a zip archive (deflate), which is about what a download takes, or None.
    """

    macs: int
    parameters: int
    zeros: int = 0
    bytes: int | None = None
    zipped: int | None = None


@dataclass(frozen=True)
class Timing:
    """Latency of both models, launched in turns.

    Attributes:
        before_ms: Median of the unpruned model, milliseconds.
        after_ms: Median of the pruned one.
        ratio: After over before: median over rounds,
        low: its 95 % interval from here,
        high: to here.
        verdict: ``faster``, ``slower`` or ``no difference``: the pruned model against the unpruned one.
        rounds: Launches of each.
        runtime: What ran them.
        on: The device; ``host`` is the machine that converted, and says nothing exact of the target.
        doubts: Why the measurement cannot be trusted; empty if it can.
    """

    before_ms: float
    after_ms: float
    ratio: float
    low: float
    high: float
    verdict: str
    rounds: int
    runtime: str
    on: str = "host"
    doubts: tuple[str, ...] = ()

    @property
    def speedup(self) -> float:
        """Times as fast as before."""
        return 1 / self.ratio


@dataclass(frozen=True)
class Gains:
    """A model before and after its recipe removed parts of it.

    Attributes:
        before: As converted by the same recipe without the passes that remove.
        after: As converted.
        timing: Measured, or None.
        reason: Why there is no timing, or None.
    """

    before: Size
    after: Size
    timing: Timing | None = None
    reason: str | None = UNMEASURED

    @property
    def no_measured_gain(self) -> bool:
        """Whether nothing measured says that the model became faster: slower, no difference, not to be trusted, or not measured."""
        return self.timing is None or self.timing.verdict != "faster" or bool(self.timing.doubts)

    @property
    def sparsity(self) -> float:
        """Share of the parameters that are held at zero, 0 to 1."""
        return self.after.zeros / max(self.after.parameters, 1)

    def measured(self, before: Size, after: Size, timing: Timing | None, reason: str | None = None) -> Gains:
        """The same, with the files' sizes and a measurement, or the reason why there is none."""
        return replace(self, before=before, after=after, timing=timing, reason=None if timing is not None else reason)

    def to_json(self) -> dict[str, Any]:
        """The manifest's ``gains``."""
        timing = None if self.timing is None else asdict(self.timing) | {"doubts": list(self.timing.doubts)}
        return {
            "before": asdict(self.before),
            "after": asdict(self.after),
            "timing": timing,
            "reason": self.reason,
            "no_measured_gain": self.no_measured_gain,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Gains:
        """Inverse of `to_json`; the flag follows from the rest."""
        timing = data["timing"]
        read = None if timing is None else Timing(**{**timing, "doubts": tuple(timing["doubts"])})
        return cls(Size(**data["before"]), Size(**data["after"]), read, data["reason"])
