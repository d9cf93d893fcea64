"""Words that several messages share: counts with their noun, and what an unknown name may have been meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 launch``, ``2 launches``; `many` defaults to `one` and an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """``, did you mean 'android'?`` to put behind an unknown name that resembles a known one; else nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""
