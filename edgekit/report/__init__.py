"""Reports: one self-contained page about an artifact, for whoever has to decide on it."""

from edgekit.report.html import render, write_report

__all__ = ["render", "write_report"]
