"""An artifact, its verdict and its profile as one HTML page: no script, no network, the same bytes for the same input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from edgekit import staging
from edgekit.artifact import Artifact
from edgekit.plugins import described
from edgekit.profiling import Profile, op_rows, rows
from edgekit.verification import Verdict

MOST_OPERATORS = 30
BINS = 60

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } td, th { padding: .25rem .6rem; text-align: left; vertical-align: top }
th { font-weight: 600; white-space: nowrap } tr + tr { border-top: 1px solid #d8dee4 } .good { color: #116329 } .bad { color: #a40e26 }
td + td { font-variant-numeric: tabular-nums } svg { width: 100%; height: 8rem; background: #f6f8fa } rect { fill: #0969da }
</style></head><body><h1>$title</h1>
$body
</body></html>
""")


def write_report(path: str | Path, artifact: Artifact, verdict: Verdict | None = None, profile: Profile | None = None) -> Path:
    """Write the page; its parent folder is made if need be.

    Raises:
        UsageError: It cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging.write_file(path, render(artifact, verdict, profile).encode())
    return path


def render(artifact: Artifact, verdict: Verdict | None = None, profile: Profile | None = None) -> str:
    """The page as HTML. Without a verdict or a profile, their sections are missing."""
    parts = [_artifact(artifact)]
    if verdict is not None:
        parts.append(_verdict(verdict))
    if profile is not None:
        parts.append(_profile(profile))
    title = f"{artifact.path.resolve().name} for {artifact.manifest.target}"
    return _PAGE.substitute(title=escape(title), body="\n".join(parts))


def _artifact(artifact: Artifact) -> str:
    m = artifact.manifest
    ops = Counter(op.name for op in m.ops).most_common()
    facts = [
        ("model", f"{m.model_file}, {artifact.model_file.stat().st_size:,} bytes"),
        ("made from", f"{m.source.name} ({m.source.framework}, sha256 {m.source.digest[:12]}…)"),
        ("recipe", m.recipe),
        ("inputs", described(m.inputs)),
        ("outputs", described(m.outputs)),
        ("operators", ", ".join(f"{count} {name}" for name, count in ops)),
        ("concessions", "; ".join(m.notes) or "none"),
        ("made with", ", ".join(f"{name} {version}" for name, version in sorted(m.tools.items()))),
    ]
    return _pairs(facts)


def _verdict(verdict: Verdict) -> str:
    facts = [("samples", str(verdict.samples)), ("run on", f"{verdict.runtime}, {verdict.delegate}")]
    if metric := verdict.metric:
        facts += [(f"{metric.name} of the float model", str(metric.reference)), (f"{metric.name} of the artifact", str(metric.artifact))]
        facts += [("paired difference", str(metric.difference))]
    facts += [("gate", f"{gate}: {'met' if gate.passed else 'not met'}") for gate in verdict.gates]
    facts += [("note", note) for note in verdict.notes]
    parity = [
        (
            p.name,
            f"{p.max_abs:.3g}",
            f"{p.rmse:.3g}",
            f"{p.sqnr_db:.1f}",
            f"{p.cosine:.6f}",
            "" if p.agreement is None else f"{p.agreement:.1%}",
        )
        for p in verdict.parity
    ]
    sign = '<span class="good">passed</span>' if verdict.passed else '<span class="bad">failed</span>'
    header = ("output", "max abs", "RMSE", "SQNR, dB", "cosine", "top-1 agreement")
    return f"<h2>Against the float model: {sign}</h2>{_pairs(facts)}{_table(header, parity)}"


def _profile(profile: Profile) -> str:
    samples = np.concatenate([launch.timings.samples_ns for launch in profile.launches]) / 1e3
    sign = '<span class="good">trusted</span>' if profile.valid else '<span class="bad">not trusted</span>'
    ops = op_rows(profile, MOST_OPERATORS)
    table = _table(("#", "operator", "your module", "ran on", "time", "share"), ops) if ops else f"<p>{escape(str(profile.ops.reason))}</p>"
    return f"<h2>Measured: {sign}</h2>{_pairs(rows(profile))}{_histogram(samples)}<h2>Slowest operators</h2>{table}"


def _histogram(values: np.ndarray) -> str:
    """Runs by duration, up to the 99th percentile: what an interval alone does not show."""
    low, high = float(values.min()), float(np.percentile(values, 99))
    counts, _ = np.histogram(values, BINS, (low, max(high, low + 1e-3)))
    bars = "".join(
        f'<rect x="{i}" y="{100 - 100 * c / counts.max():.1f}" width=".9" height="{100 * c / counts.max():.1f}"/>'
        for i, c in enumerate(counts)
    )
    caption = f"{len(values)} runs, {low:.1f} to {high:.1f} µs (99th percentile)"
    return f'<svg viewBox="0 0 {BINS} 100" preserveAspectRatio="none" role="img" aria-label="{caption}">{bars}</svg><p>{caption}</p>'


def _pairs(facts: Iterable[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts) + "</table>"


def _table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    return (
        f"<table><tr>{head}</tr>" + "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in body) + "</table>"
    )
