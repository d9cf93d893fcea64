from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from edgekit import recipe
from edgekit.documenting import Option, PassText, pass_text, plain
from edgekit.errors import UsageError
from edgekit.schemes import SCHEMES

KINDS = {"mild": "a little", "strong": "a lot"}


@dataclass(frozen=True)
class Shrink:
    """Makes things
    smaller.

    It is quick.

    Given: a graph,
    lowered.
    Result: a smaller one.

    Source: Someone 2020, "Less", section 2.

    Attributes:
        share: Of the weights, 0
            to 1.
        kind: A key of `KINDS`.
        other: A key of `edgekit.schemes.SCHEMES`, or of `NOWHERE`.
        limit: Bytes at most, or None.
        sizes: Widths, bits.
        overrides: Module path glob to share.
    """

    name: ClassVar[str] = "shrink"

    share: float
    kind: str = "mild"
    other: str = "w8a8"
    limit: int | None = None
    sizes: tuple[int, ...] = (4, 8)
    overrides: Mapping[str, float] = field(default_factory=dict)


@pytest.fixture
def shrink(monkeypatch):
    monkeypatch.setitem(recipe.PASSES, "shrink", f"{__name__}:Shrink")


def test_a_docstring_becomes_data(shrink):
    assert pass_text("shrink") == PassText(
        name="shrink",
        summary="Makes things smaller.",
        given="a graph, lowered.",
        result="a smaller one.",
        source='Someone 2020, "Less", section 2.',
        details=("It is quick.",),
        options=(
            Option("share", "float", "", "Of the weights, 0 to 1.", {}),
            Option("kind", "str", '"mild"', "A key of `KINDS`.", KINDS),
            Option("other", "str", '"w8a8"', "A key of `edgekit.schemes.SCHEMES`, or of `NOWHERE`.", SCHEMES),
            Option("limit", "int | None", "none", "Bytes at most, or None.", {}),
            Option("sizes", "tuple[int, ...]", "[4, 8]", "Widths, bits.", {}),
            Option("overrides", "Mapping[str, float]", "{}", "Module path glob to share.", {}),
        ),
    )


def test_an_unknown_pass_is_an_error():
    with pytest.raises(UsageError, match="unknown pass 'shrunk'"):
        pass_text("shrunk")


def test_plain_text_has_no_marks():
    assert plain("A key of `KINDS`, ``mild`` by default.") == "A key of KINDS, mild by default."


@pytest.mark.parametrize("name", recipe.PASSES)
def test_every_pass_says_what_it_takes_and_gives_where_it_is_from_and_what_its_options_are(name):
    text = pass_text(name)
    assert all((text.summary, text.given, text.result, text.source)), text
    assert [option.name for option in text.options if not option.text] == []
    assert any(character.isdigit() for character in text.source), "a source has a year"
