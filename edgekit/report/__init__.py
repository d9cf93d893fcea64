"""An artifact, what was proved about it and what was measured of it, on one page."""

from edgekit.report.html import render, write_report
from edgekit.report.measured import render_profile, write_profile_page

__all__ = ["render", "render_profile", "write_profile_page", "write_report"]
