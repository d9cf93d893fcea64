"""Measure a model so that the figures can be trusted, or say why they cannot."""

from edgekit.profiling.comparing import Comparison, compare
from edgekit.profiling.counted import CountedProfile
from edgekit.profiling.gains import measure_gains
from edgekit.profiling.measuring import profile
from edgekit.profiling.presenting import comparison_rows, gain_rows, op_rows, rows
from edgekit.profiling.profiles import Profile

__all__ = [
    "Comparison",
    "CountedProfile",
    "Profile",
    "compare",
    "comparison_rows",
    "gain_rows",
    "measure_gains",
    "op_rows",
    "profile",
    "rows",
]
