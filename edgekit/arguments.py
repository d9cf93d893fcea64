"""Keyword arguments that public functions pass on: an unknown one is refused at once, with what it may have been meant to be."""

from __future__ import annotations

from collections.abc import Iterable

from edgekit.wording import suggestion


def check_known(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse what is not known.

    Raises:
        TypeError: As Python raises for a function's own arguments.
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            raise TypeError(f"unexpected keyword argument {name!r}{suggestion(name, names)}")
