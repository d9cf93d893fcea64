"""What a conversion could not do as one might assume: listed always, and refused where the user does not accept it.

In the manifest a note reads ``kind: what, where and why``. Each kind is a name the user may accept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edgekit.errors import ConversionError, UsageError


@dataclass(frozen=True)
class Kind:
    """A kind of concession.

    Attributes:
        meaning: One line for the user.
        pattern: What the notes of the steps that make it look like.
        loud: Whether the user is warned at once.
        declared: Whether it is a documented default, which needs no acceptance.
    """

    meaning: str
    pattern: str
    loud: bool = False
    declared: bool = False


KINDS: dict[str, Kind] = {
    "batch": Kind(
        "the batch dimension was fixed or left open; --batch and --batches choose", r"^batch dimension (fixed|open)", declared=True
    ),
    "sizes": Kind("a dimension stays open between two sizes; --dim chooses", r"^dimension \d+ of input .* open: ", declared=True),
    "dtype": Kind(
        "an input, an output or the weights have another dtype than the source's", r"\bis \w+ instead of \w+$|^weights in \w+ converted\b"
    ),
    "float": Kind("an operator without an integer kernel computes in float", r"^float: |\bstays in float$", loud=True),
    "requantized": Kind("a value changes its grid inside the model", r"^requantized: |\bbetween integer and float$"),
    "transpose": Kind("a tensor is reordered, because producer and consumer want different orders", r"^TRANSPOSE\b"),
    "weights": Kind("weights have more bits than asked, for want of a kernel", r"^int8 instead of|\bstays float32$"),
    "palettes": Kind("which weights were clustered, and in how many bits", r"^palettes: ", declared=True),
    "factors": Kind("which layers became smaller ones of low rank", r"^low rank: ", declared=True),
    "mixed": Kind("which modules have more bits than asked, to keep to a budget", r"^mixed precision: ", declared=True),
    "smooth": Kind("smoothing had nothing to do", r"^smooth: "),
    "pruned": Kind("what was pruned, and what could not be", r"^(pruned|prune_channels|low_rank|low rank): ", declared=True),
    "trained": Kind("how a training went", r"^fine-tuned: ", declared=True),
    "diverged": Kind("a training stopped at a loss that was not finite; the best epoch before was kept", r"^training stopped ", loud=True),
    "tables": Kind("weights were clustered for a format that has no tables", r"^\w+ has no tables: ", loud=True),
    "calibration": Kind("the calibration data alone did not determine a grid", r"\bon the calibration data\b|\bdoes not fit int32\b"),
    "unstable": Kind("rounding alone moves an output far, so comparing outputs says little", r"^rounding alone moves", loud=True),
    "random": Kind("activation ranges were measured on noise", r"^random calibration", loud=True),
    "names": Kind("an input or output has another name in the file, for want of such names there", r"\bis called '\w+' in the file"),
    "labels": Kind("labels name scores that are no probabilities", r"\bhas labels, but no softmax\b"),
    "metadata": Kind("what was said of the model is in the manifest and not in the file, for want of a place there", r"^metadata: "),
    "vendor": Kind("the vendor's own converter wrote the file", r"^written by the vendor's converter", loud=True),
    "other": Kind("anything else", r""),
}
"""All kinds, by the names the user accepts them by."""

_IN_MODULE = re.compile(r"\bin (\S+) stays in float$")


class ConversionWarning(UserWarning):
    """The artifact is right, and slower or less exact than one might assume."""


@dataclass(frozen=True)
class Note:
    """One concession: a key of `KINDS`, and a sentence."""

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text if self.text.startswith(f"{self.kind}: ") else f"{self.kind}: {self.text}"


def note(text: str) -> Note:
    """Tell a note's kind by its text."""
    return Note(next(name for name, kind in KINDS.items() if re.search(kind.pattern, text)), text)


def checked_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """The kinds, if all exist.

    Raises:
        UsageError: One does not.
    """
    given = tuple(kinds)
    if unknown := [k for k in given if k not in KINDS]:
        raise UsageError(f"no concession is called {', '.join(map(repr, unknown))}", accepted=list(KINDS))
    return given


def settle(graph: Iterable[str], file: Iterable[str], accepted: tuple[str, ...] | None) -> tuple[Note, ...]:
    """All notes, once each; an error if one is of a kind that was not accepted.

    Args:
        graph: What the steps up to the final graph noted.
        file: What the converter noted of its file. An operator left in float that the graph's notes explain is not told twice.
        accepted: Kinds; None accepts all.

    Raises:
        ConversionError: A concession was not accepted.
    """
    explained = [note(text) for text in dict.fromkeys(graph)]
    notes = (*explained, *(n for n in map(note, dict.fromkeys(file)) if not _told(n, explained)))
    refused = [n for n in notes if accepted is not None and n.kind not in accepted and not KINDS[n.kind].declared]
    if refused:
        listed = "".join(f"\n  - {n}" for n in refused)
        kinds = " ".join(f"--accept {k}" for k in sorted({n.kind for n in refused}))
        raise ConversionError(f"the conversion makes concessions that were not accepted:{listed}", next_step=f"accept them: {kinds}")
    return notes


def _told(found: Note, explained: Iterable[Note]) -> bool:
    module = _IN_MODULE.search(found.text)
    return module is not None and any(n.kind == "float" and f"{module[1]!r}" in n.text for n in explained)
