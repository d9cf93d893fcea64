"""The figures on top: accuracy, size, latency and memory, each beside the float model's where there is one."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edgekit.artifact import Artifact
from edgekit.profiling import Profile
from edgekit.report import charts
from edgekit.report.page import Badge, Card
from edgekit.units import duration, size
from edgekit.verification import Verdict


def badges(verdict: Verdict | None, profile: Profile | None, concessions: int) -> Iterator[Badge]:
    """What was proved, and what was not."""
    if verdict is None:
        yield Badge("not verified", "warn")
    else:
        yield Badge("verified" if verdict.passed else "verification failed", "good" if verdict.passed else "bad")
    if profile is None:
        yield Badge("not measured", "warn")
    else:
        yield Badge("measurement trusted" if profile.valid else "measurement not trusted", "good" if profile.valid else "bad")
    if concessions:
        yield Badge(f"{concessions} concession" + "s" * (concessions > 1), "warn")


def cards(
    artifact: Artifact, verdict: Verdict | None, profile: Profile | None, baseline: Artifact | None, baseline_profile: Profile | None
) -> Iterator[Card]:
    """One a figure."""
    if verdict is not None:
        yield _accuracy(verdict) if verdict.metric else _parity(verdict)
    yield _size(artifact, baseline)
    if profile is not None:
        yield _latency(profile, baseline_profile)
        yield _memory(profile)


def _accuracy(verdict: Verdict) -> Card:
    metric = verdict.metric
    assert metric is not None
    rows = [("float", metric.reference), ("here", metric.artifact)]
    lines = [f"95 % interval {metric.artifact.low:.1%} to {metric.artifact.high:.1%}"]
    if metric.difference is not None:
        d = metric.difference
        lines.append(f"{100 * d.value:+.2f} points against float ({100 * d.low:+.2f} to {100 * d.high:+.2f})")
    chart = charts.intervals([(label, e.value, e.low, e.high) for label, e in rows if e is not None])
    return Card(metric.name, f"{metric.artifact.value:.1%}", tuple(lines), chart)


def _parity(verdict: Verdict) -> Card:
    worst = min(verdict.parity, key=lambda p: p.cosine)
    ratio = "equal" if math.isinf(worst.sqnr_db) else f"{worst.sqnr_db:.1f} dB"
    return Card("signal to noise", ratio, (f"cosine {worst.cosine:.6f}, over {verdict.samples} samples", f"of output {worst.name}"))


def _size(artifact: Artifact, baseline: Artifact | None) -> Card:
    here = artifact.model_bytes
    lines = [f"{here:,} bytes"]
    if baseline is not None:
        other = baseline.model_bytes
        lines.append(f"{other / here:.2f} × smaller than {baseline.path.resolve().name} ({size(other)})")
    return Card("model file", size(here), tuple(lines))


def _latency(profile: Profile, baseline: Profile | None) -> Card:
    latency = profile.latency
    lines = [f"95 % interval {duration(latency.low_ms)} to {duration(latency.high_ms)}"]
    if latency.p99_ms is not None:
        lines.append(f"99 % of runs within {duration(latency.p99_ms)}")
    if baseline is not None:
        times = f"{baseline.latency.median_ms / latency.median_ms:.2f} × the speed of {baseline.model['name']}"
        lines.append(f"{times} ({duration(baseline.latency.median_ms)}), not interleaved")
    return Card("latency", duration(latency.median_ms), tuple(lines))


def _memory(profile: Profile) -> Card:
    memory = profile.memory
    lines = (
        f"of {size(memory.peak_rss_bytes)} at the process' peak",
        f"activations planned without a delegate: {size(memory.planned_arena_bytes)}",
    )
    return Card("memory for the model", size(memory.added_rss_bytes), lines)
