"""What a conversion could not do as one might assume: listed always, and refused where the user does not accept it.

A note reads ``kind: what, where and why``. Each kind is a name the user may accept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgekit.errors import ConversionError, UsageError

KINDS = {
    "float": "an operator without an integer kernel computes in float",
    "requantized": "a value crosses between two grids, or between integers and floats, inside the model",
    "transpose": "a tensor is reordered because its producer and its consumer want it in different orders",
    "wider weights": "weights have more bits than asked, for want of a kernel",
    "random calibration": "activation ranges were measured on noise",
    "vendor": "the vendor's own converter wrote the file",
    "frozen": "a dynamic dimension was fixed",
    "cast": "a dtype the format lacks was replaced",
    "other": "anything else",
}
"""Kinds of concession, and what each means."""

_LOUD = {"float", "random calibration", "vendor"}


class ConversionWarning(UserWarning):
    """The artifact is right, and slower or less exact than one might assume."""


@dataclass(frozen=True)
class Note:
    """One concession.

    Attributes:
        kind: A key of `KINDS`.
        text: The whole sentence, its kind first.
    """

    kind: str
    text: str

    @property
    def loud(self) -> bool:
        """Whether the user is warned of it at once."""
        return self.kind in _LOUD


def note(text: str) -> Note:
    """Read a note's kind off its text."""
    kind = text.partition(":")[0]
    return Note(kind, text) if kind in KINDS else Note("other", text)


def checked_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """The kinds, if all exist.

    Raises:
        UsageError: One does not.
    """
    given = tuple(kinds)
    if unknown := [k for k in given if k not in KINDS]:
        raise UsageError(f"no concession is called {', '.join(map(repr, unknown))}", accepted=list(KINDS))
    return given


def settle(texts: Iterable[str], accepted: tuple[str, ...] | None) -> tuple[Note, ...]:
    """All notes, once each; an error if one is of a kind that was not accepted.

    Args:
        texts: Notes of the graph and the converter.
        accepted: Kinds; None accepts all.

    Raises:
        ConversionError: A concession was not accepted.
    """
    notes = tuple(note(text) for text in dict.fromkeys(texts))
    refused = [n for n in notes if accepted is not None and n.kind not in accepted]
    if refused:
        listed = "".join(f"\n  - {n.text}" for n in refused)
        kinds = " ".join(f"--accept {k!r}" if " " in k else f"--accept {k}" for k in sorted({n.kind for n in refused}))
        raise ConversionError(f"the conversion makes concessions that were not accepted:{listed}", next_step=f"accept them: {kinds}")
    return notes
