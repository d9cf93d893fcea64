"""Tables for readers: without boxes, figures to the right."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def table(columns: Sequence[str] | None, rows: Iterable[Sequence[Any]], *, right: Collection[int] = ()) -> Table:
    """Rows under headings, if any; the columns whose places are in `right` are aligned there."""
    from rich.table import Table

    made = Table(*(columns or ()), box=None, show_header=columns is not None)
    for place in right:
        made.columns[place].justify = "right"
    for row in rows:
        made.add_row(*row)
    for column in made.columns:
        column.overflow = "fold"  # a narrow terminal breaks a path or a digest, where rich would cut its end off
    return made


def label_table(rows: Iterable[tuple[str | Text, Any]]) -> Table:
    """Labels and texts as two columns."""
    from rich.text import Text

    return table(None, ((Text(label, "bold") if isinstance(label, str) else label, text) for label, text in rows))
