"""An artifact, what was proved about it and what was measured of it, on one page."""

from edgekit.report.html import render, write_report

__all__ = ["render", "write_report"]
