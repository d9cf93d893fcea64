"""Options by the user's own modules."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

Option = TypeVar("Option")


def for_module(path: str, default: Option, overrides: Mapping[str, Option]) -> Option:
    """The option of a module path: that of the last override whose glob matches it or a parent of it."""
    chosen = default
    for glob, option in overrides.items():
        if fnmatchcase(path, glob) or fnmatchcase(path, f"{glob}.*"):
            chosen = option
    return chosen
