"""Writing the report: ``NAME.html`` for people, ``NAME.json`` beside it for programs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2

from edgekit import documents, staging
from edgekit.artifact import Artifact
from edgekit.profiling import Profile
from edgekit.report import sections, summary
from edgekit.report.page import Page
from edgekit.verification import Verdict

SCHEMA = "edgekit.report/1"
TEMPLATE = "page.html.j2"


def write_report(
    path: str | Path,
    artifact: Artifact,
    verdict: Verdict | None = None,
    profile: Profile | None = None,
    *,
    baseline: Artifact | None = None,
    baseline_profile: Profile | None = None,
) -> Path:
    """Write the page, and the same as JSON beside it; the parent folder is made if need be.

    Args:
        path: Of the page, ``….html``.
        artifact: What it is about.
        verdict: How it compares with the float model, if it was verified.
        profile: How fast it is, if it was measured.
        baseline: An artifact to name sizes against: the float one, mostly.
        baseline_profile: Its profile, to name times against.

    Returns:
        `path`.

    Raises:
        UsageError: It cannot be written.
    """
    page = Path(path)
    staging.write_file(page, render(artifact, verdict, profile, baseline=baseline, baseline_profile=baseline_profile).encode())
    documents.write_json(page.with_suffix(".json"), to_json(artifact, verdict, profile))
    return page


def to_json(artifact: Artifact, verdict: Verdict | None = None, profile: Profile | None = None) -> dict[str, Any]:
    """Everything the page shows: the manifest and, where there are any, the verdict's and the profile's documents."""
    return {
        "schema": SCHEMA,
        "artifact": artifact.manifest.to_json(),
        "verdict": verdict.to_json() if verdict else None,
        "profile": profile.to_json() if profile else None,
    }


def render(
    artifact: Artifact,
    verdict: Verdict | None = None,
    profile: Profile | None = None,
    *,
    baseline: Artifact | None = None,
    baseline_profile: Profile | None = None,
) -> str:
    """The page as HTML: no script, no network, everything escaped, the same bytes for the same input."""
    manifest = artifact.manifest
    parts = (
        sections.parity(verdict) if verdict else None,
        sections.measurement(profile) if profile else None,
        sections.operators(profile) if profile else None,
        sections.interface(artifact),
        sections.concessions(artifact),
        sections.origin(artifact, profile),
    )
    page = Page(
        title=artifact.path.resolve().name,
        subtitle=f"{manifest.source.name}, made with recipe {manifest.recipe} for {manifest.target}",
        badges=tuple(summary.badges(verdict, profile, len(manifest.notes))),
        cards=tuple(summary.cards(artifact, verdict, profile, baseline, baseline_profile)),
        sections=tuple(p for p in parts if p is not None),
        footer=f"edgekit {manifest.tools.get('edgekit', '')}. Intervals are 95 %.",
    )
    return template().render(page=page)


@functools.cache
def template() -> jinja2.Template:
    """The page's template."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(TEMPLATE)
