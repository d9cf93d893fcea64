"""Profiles of either kind, and how a saved one is read."""

from __future__ import annotations

from pathlib import Path

from edgekit import documents
from edgekit.profiling.counted import CountedProfile
from edgekit.profiling.profiles import Profile

AnyProfile = Profile | CountedProfile


def read_profile(path: str | Path) -> AnyProfile:
    """Read a saved profile of either kind.

    Raises:
        UsageError: It cannot be read, or is none.
    """
    data = documents.read_json(Path(path))
    counted = isinstance(data, dict) and data.get("basis") in ("counted", "estimate")
    return CountedProfile.from_json(data, str(path)) if counted else Profile.from_json(data, str(path))
