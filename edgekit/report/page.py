"""What a page is made of. The template draws these; it knows nothing of artifacts."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

Cell = str | Markup
NOTHING = Markup("")
Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Badge:
    """A word on the state of something; `tone` is ``good``, ``bad``, ``warn`` or nothing."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Card:
    """One figure that matters."""

    title: str
    figure: str
    lines: tuple[str, ...] = ()
    chart: Markup = NOTHING


@dataclass(frozen=True)
class Column:
    """A table's column."""

    title: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""


@dataclass(frozen=True)
class Chart:
    """A drawing and what it shows."""

    drawing: Markup
    caption: Cell


@dataclass(frozen=True)
class Remark:
    """A sentence with a label; `tone` as in `Badge`."""

    label: str
    text: str
    tone: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    id: str
    title: str
    paragraphs: tuple[str, ...] = ()
    facts: Facts = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    findings: tuple[Remark, ...] = ()
    source_title: str = ""
    source: str = ""


@dataclass(frozen=True)
class Page:
    """All of it."""

    title: str
    subtitle: str
    badges: tuple[Badge, ...]
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    footer: str
