"""What a pass says of itself: its docstring as data, for `edgekit recipes` and the docs.

The docstring of a pass has a summary, then parts that begin with ``Given:``, ``Result:`` and ``Source:``, and an ``Attributes:``
section with every option, its unit and its range.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
from dataclasses import dataclass
from typing import Any

from edgekit.recipe import pass_class

PARTS = ("Given", "Result", "Source")
_PART = re.compile(rf"^({'|'.join(PARTS)}): ", re.MULTILINE)
_OPTION = re.compile(r"^    (\w+): ", re.MULTILINE)
_KEYS = re.compile(r"\b[Kk]eys? of `([\w.]+)`")


@dataclass(frozen=True)
class Option:
    """One option of a pass: a key of its table in a recipe.

    Attributes:
        name: The key.
        type: As Python writes it: ``float | None``.
        default: As JSON; ``none`` for one that is left out, empty for one that must be given.
        text: What it is, with unit and range.
        choices: What it may be, each with its meaning, where that is a fixed list.
    """

    name: str
    type: str
    default: str
    text: str
    choices: dict[str, str]


@dataclass(frozen=True)
class PassText:
    """What a pass says of itself.

    Attributes:
        name: In recipes.
        summary: The first paragraph.
        given: What graph it takes.
        result: What graph it gives.
        source: Papers, with sections.
        details: The paragraphs that are none of these.
        options: In the order of the fields.
    """

    name: str
    summary: str
    given: str
    result: str
    source: str
    details: tuple[str, ...]
    options: tuple[Option, ...]


def pass_text(name: str) -> PassText:
    """What the pass called `name` says of itself.

    Raises:
        UsageError: No such pass.
    """
    cls = pass_class(name)
    body, _, attributes = (inspect.getdoc(cls) or "").partition("\nAttributes:\n")
    texts = {match[1]: _flat(text) for match, text in _pieces(_OPTION, attributes)}
    summary, *rest = body.split("\n\n")
    parts = {match[1]: _flat(text) for match, text in _pieces(_PART, "\n\n".join(p for p in rest if _PART.match(p)))}
    details = tuple(_flat(p) for p in rest if p.strip() and not _PART.match(p))
    options = tuple(_option(cls, field, texts.get(field.name, "")) for field in dataclasses.fields(cls))
    given, result, source = (parts.get(part, "") for part in PARTS)
    return PassText(name, _flat(summary), given, result, source, details, options)


def _option(cls: type, field: dataclasses.Field[Any], text: str) -> Option:
    tables = [_table(name, cls.__module__) for name in _KEYS.findall(text)]
    choices = {key: meaning for table in tables for key, meaning in table.items()}
    return Option(field.name, str(field.type), _default(field), text, choices)


def _table(name: str, module: str) -> dict[str, str]:
    """The table of choices that a docstring names, by itself or with its module; empty where it has no meanings."""
    place, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(place or module), attribute, None)
    return {key: meaning for key, meaning in found.items() if isinstance(meaning, str)} if isinstance(found, dict) else {}


def plain(text: str) -> str:
    """Text of a docstring without its marks."""
    return text.replace("`", "")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return json.dumps(field.default_factory())
    if field.default is dataclasses.MISSING:
        return ""
    return "none" if field.default is None else json.dumps(field.default)


def _pieces(heading: re.Pattern[str], text: str) -> list[tuple[re.Match[str], str]]:
    """Each heading, with the text up to the next."""
    found = list(heading.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    return [(match, text[match.end() : end]) for match, end in zip(found, ends, strict=False)]


def _flat(text: str) -> str:
    return " ".join(text.split())
