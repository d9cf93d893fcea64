"""Options under a heading of their own in ``--help``, that several commands can share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

OTHERS = "Options"
"""The heading of options that stand under no other."""


class Option(click.Option):
    """An option that knows its heading."""

    def __init__(self, *names: Any, heading: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.heading = heading


def option(*names: str, **settings: Any) -> Callable[[str], Callable[[F], F]]:
    """As `click.option`, for a `section`."""
    return lambda heading: click.option(*names, cls=Option, heading=heading, **settings)


def section(heading: str, *options: Callable[[str], Callable[[F], F]]) -> Callable[[F], F]:
    """Add the options under `heading`, in this order."""

    def decorate(function: F) -> F:
        for made in reversed(options):
            function = made(heading)(function)
        return function

    return decorate


def write_sections(params: Iterable[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """The options part of ``--help``: heading by heading, in the order in which a command names them, `OTHERS` last."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for param in params:
        if isinstance(param, click.Option) and (row := param.get_help_record(ctx)) is not None:
            rows.setdefault(getattr(param, "heading", OTHERS), []).append(row)
    others = rows.pop(OTHERS, None)
    for heading, records in [*rows.items(), *([(OTHERS, others)] if others else [])]:
        with formatter.section(heading):
            formatter.write_dl(records)
