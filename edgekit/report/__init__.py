"""An artifact, what was proved about it, what was measured of it and where it loses accuracy, on one page each."""

from edgekit.report.diagnosed import render_diagnosis
from edgekit.report.html import render, write_report
from edgekit.report.measured import render_profile, write_profile_page

__all__ = ["render", "render_diagnosis", "render_profile", "write_profile_page", "write_report"]
