"""Files `edgekit profile` writes besides its table, and the gate against a baseline."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.measuring import write_text
from edgekit.cli.parse import Share
from edgekit.cli.section import option, section

if TYPE_CHECKING:
    from edgekit.profiling import Profile
    from edgekit.profiling.gate import Regression
    from edgekit.profiling.reading import AnyProfile


def _file(name: str, text: str, *short: str) -> Any:
    return option(name, *short, type=click.Path(path_type=Path, dir_okay=False), help=text)


output_options = section(
    "Files and gates",
    _file("--out", "Also write the JSON document, raw samples and all, here.", "-o"),
    _file("--csv", "Also write figures, operators and samples as CSV here."),
    _file("--html", "Also write a page with charts here."),
    _file("--chrome-trace", "Also write the operators' timeline here, for ui.perfetto.dev or chrome://tracing."),
    _file("--junit", "Also write a JUnit report here."),
    option(
        "--baseline",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A JSON document of an earlier profile to hold this one against; exits with 1 if it is slower than allowed.",
    ),
    option("--max-regression", type=Share(), default="5%", show_default=True, help="How much slower than the baseline is allowed."),
)
"""The options; `Outputs.taken` takes them out of a command's parameters."""
_NAMES = ("out", "csv", "html", "chrome_trace", "junit", "baseline", "max_regression")


@dataclass(frozen=True)
class Outputs:
    """Where a profile goes, and what it is held against."""

    out: Path | None
    csv: Path | None
    html: Path | None
    chrome_trace: Path | None
    junit: Path | None
    baseline: Path | None
    max_regression: float

    @classmethod
    def taken(cls, options: dict[str, Any]) -> Outputs:
        """Take these options out of a command's parameters."""
        return cls(**{name: options.pop(name) for name in _NAMES})

    def keep(self, found: Profile, label: str | None = None) -> None:
        """Write the JSON document of a profile that is still being measured, unless over the baseline; `write` replaces it.

        Raises:
            UsageError: The file cannot be written.
        """
        import json

        if self.out != self.baseline:
            write_text(_named(self.out, label), lambda: json.dumps(found.to_json(), indent=1) + "\n")

    def write(self, found: AnyProfile, label: str | None = None) -> Regression | None:
        """Write all files, then hold the profile against the baseline.

        Args:
            found: The profile.
            label: Where there are several: the device, which becomes part of the files' names.

        Returns:
            The comparison with the baseline, passed or not; None without one.

        Raises:
            UsageError: A file cannot be written, or the baseline is none for this profile.
        """
        import json

        from edgekit.profiling.exporting import to_csv, to_junit, to_trace
        from edgekit.profiling.gate import regression
        from edgekit.profiling.reading import read_profile

        held = regression(found, read_profile(self.baseline), self.max_regression) if self.baseline else None
        write_text(_named(self.out, label), lambda: json.dumps(found.to_json(), indent=1) + "\n")
        write_text(_named(self.csv, label), lambda: to_csv(found))
        write_text(_named(self.chrome_trace, label), lambda: to_trace(found))
        write_text(_named(self.junit, label), lambda: to_junit(found, held))
        if self.html:
            from edgekit.report import render_profile

            write_text(_named(self.html, label), lambda: render_profile(found))
        return held


def _named(path: Path | None, label: str | None) -> Path | None:
    """``profile.json`` to ``profile-qemu-cortex-a76.json``."""
    if path is None or label is None:
        return path
    return path.with_stem(f"{path.stem}-{re.sub(r'[^A-Za-z0-9.]+', '-', label).strip('-')}")
