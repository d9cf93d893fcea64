"""`compare`: two models, launched in turns so that what disturbs one disturbs the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from edgekit.errors import UsageError
from edgekit.profiling.measuring import Plan, paced, planned, reached, summarize
from edgekit.profiling.profiles import Profile
from edgekit.profiling.statistics import Interval, paired_ratio
from edgekit.profiling.validity import Finding, Validity
from edgekit.progress import report
from edgekit.timing import Launch, OpTrace, Pace, TimedRuntime

SCHEMA = "edgekit.comparison/1"
MARGIN = 0.01
RESOLUTION = 0.015
"""Rounds end once half the interval of the ratio is below this share of it."""
BLUNT = 0.05
"""An interval wider than this, to either side, hides differences a user would care about."""
ROUND = Pace(min_seconds=0.15, max_seconds=0.5, warmup_seconds=0.3, precision=0.01)
QUICK_ROUND = Pace(min_seconds=0.05, max_seconds=0.1, warmup_seconds=0.1, precision=0.02)


@dataclass(frozen=True)
class Comparison:
    """How long `b` takes, measured in `a`.

    Attributes:
        a: The first model, what it is held against.
        b: The second.
        ratio: Median over rounds of time of `b` over time of `a`, with its interval.
        margin: Differences within this share count as none.
        seed: Of the order of launches and the bootstrap.
        order: For each round, which went first.
        verdict: ``faster``, ``slower`` or ``no difference``: `b` against `a`.
        validity: Doubts about the comparison itself. What disturbs both alike is no doubt here.
    """

    a: Profile
    b: Profile
    ratio: Interval
    margin: float
    seed: int
    order: tuple[str, ...]
    verdict: str
    validity: Validity

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        low, high = (f"{abs(x - 1):.1%}" for x in sorted((self.ratio.low, self.ratio.high), key=lambda x: abs(x - 1)))
        a, b = self.a.model["name"], self.b.model["name"]
        if self.verdict == "no difference":
            text = f"no difference found between {b} and {a}"
        else:
            text = f"{b} is {abs(self.ratio.value - 1):.1%} {self.verdict} than {a} ({low} to {high})"
        return (
            f"{text}; ratio {self.ratio.value:.3f}, 95 % interval {self.ratio.low:.3f} to {self.ratio.high:.3f}, {len(self.order)} rounds"
        )

    def require(self) -> Comparison:
        """Return itself if it can be trusted.

        Raises:
            InvalidMeasurement: It says why not.
        """
        self.validity.require("the comparison", "compare again on a quieter machine")
        return self

    def to_json(self) -> dict[str, Any]:
        """The document, with both profiles and all their samples."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "ratio": vars(self.ratio),
            "margin": self.margin,
            "rounds": len(self.order),
            "seed": self.seed,
            "order": list(self.order),
            "validity": self.validity.to_json(),
            "a": self.a.to_json(),
            "b": self.b.to_json(),
        }


def compare(
    a: Any,
    b: Any,
    *,
    runtime: str | TimedRuntime | None = None,
    threads: int = 1,
    delegate: str = "xnnpack",
    rounds: int | None = None,
    margin: float = MARGIN,
    min_time: float | None = None,
    quick: bool = False,
    seed: int = 0,
    on: str = "host",
) -> Comparison:
    """Say whether `b` is faster or slower than `a`, or that no difference was found.

    A round launches both, in random order. Rounds go on until the ratio's interval is narrow (1.5 %) or `rounds` are done.
    `b` is ``slower`` if the whole interval lies above 1 + `margin`, ``faster`` if it lies below 1 / (1 + `margin`).

    Args:
        a: What is held against: an `Artifact`, its folder, or a model file.
        b: What is held against it.
        runtime: Its name; by default the first that runs the format.
        threads: CPU threads.
        delegate: ``xnnpack``, ``none`` or ``reference``.
        rounds: At most so many; by default 30, or 10 if `quick`. At least 10 are made, or all if fewer are allowed.
        margin: Differences within this share count as none.
        min_time: Seconds of sampling a launch takes at least.
        quick: Shorter and fewer launches.
        seed: Of the order and the bootstrap.
        on: The device: ``host``, or a real one; an emulator has no times.

    Raises:
        UsageError: See `edgekit.profiling.profile`.
        DeviceUnavailable: The same.
    """
    most = rounds if rounds is not None else 10 if quick else 30
    if most < 3:
        raise UsageError(f"{most} rounds tell nothing", accepted="3 or more")
    if not 0 <= margin < 1:
        raise UsageError(f"cannot use a margin of {margin}", accepted="0 to 1, for example 0.01")
    pace = paced(quick, min_time) if min_time is not None else QUICK_ROUND if quick else ROUND
    with reached(on, runtime) as device:
        plans = [planned(x, runtime=runtime, threads=threads, delegate=delegate, pace=pace, on=on, device=device) for x in (a, b)]
        if not all(hasattr(plan.runtime, "measure") for plan in plans):
            raise UsageError(f"{on} is emulated: nothing there has a time", next_step="edgekit profile counts the instructions of each")
        started, before = datetime.now(UTC), plans[0].state()
        taken, order = _alternated(plans, most, seed)
        trace, after = OpTrace(reason="not taken in a comparison"), plans[0].state()
    one, other = (
        summarize(p, launches, len(launches), trace, before=before, after=after, started=started)
        for p, launches in zip(plans, taken, strict=True)
    )
    ratio = ratio_of(taken, seed)
    return Comparison(one, other, ratio, margin, seed, tuple(order), verdict(ratio, margin), doubts(ratio, len(order), most))


def verdict(ratio: Interval, margin: float) -> str:
    """What an interval of time over time means."""
    if ratio.low > 1 + margin:
        return "slower"
    return "faster" if ratio.high < 1 / (1 + margin) else "no difference"


def doubts(ratio: Interval, done: int, most: int) -> Validity:
    """Whether the comparison could see what a user would care about."""
    if done < min(most, 10):
        return Validity((Finding("partial", f"interrupted after {done} rounds"),))
    blunt = verdict(ratio, 0.0) == "no difference" and (ratio.low < 1 - BLUNT or ratio.high > 1 + BLUNT)
    if blunt:
        return Validity(
            (Finding("blunt", f"the ratio is known to {ratio.low:.2f} … {ratio.high:.2f} only: a difference of 5 % could hide"),)
        )
    return Validity()


def ratio_of(taken: Sequence[Sequence[Launch]], seed: int) -> Interval:
    """Paired over rounds."""
    a, b = ([launch.timings.samples_ns for launch in launches] for launches in taken)
    return paired_ratio(a, b, seed)


def _alternated(plans: Sequence[Plan], most: int, seed: int) -> tuple[list[list[Launch]], list[str]]:
    """Launches of both, round by round; interrupted, the rounds that were finished.

    Raises:
        KeyboardInterrupt: Before three rounds were done.
    """
    rng = np.random.default_rng(seed)
    taken: list[list[Launch]] = [[], []]
    order: list[str] = []
    title = "comparing"
    try:
        while len(order) < most and not _enough(taken, seed):
            report(title, len(order), most)
            first = int(rng.integers(2))
            pair = {i: plans[i].launch() for i in (first, 1 - first)}
            for i, launches in enumerate(taken):
                launches.append(pair[i])
            order.append("ab"[first])
    except KeyboardInterrupt:
        if len(order) < 3:
            raise
    report(title, most, most)
    return taken, order


def _enough(taken: Sequence[Sequence[Launch]], seed: int) -> bool:
    return len(taken[0]) >= 10 and ratio_of(taken, seed).half_width <= RESOLUTION
