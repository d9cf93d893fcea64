"""Option values that are more than a word: ``NAME:AXIS=SIZE``, comma-separated numbers and names, image sizes, label files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class Dim(click.ParamType[tuple[str, int, int | tuple[int, int]]]):
    """``input:1=100`` for a size, ``input:1=16..128`` for a range."""

    name = "NAME:AXIS=SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int, int | tuple[int, int]]:
        """To (input name, axis, size or range)."""
        if isinstance(value, tuple):
            return value
        head, _, size = str(value).rpartition("=")
        name, _, axis = head.rpartition(":")
        low, dots, high = size.partition("..")
        try:
            return name, int(axis), (int(low), int(high)) if dots else int(low)
        except ValueError:
            self.fail(f"{value!r} is not of the form NAME:AXIS=SIZE, such as input:1=100 or input:1=16..128", param, ctx)


class Sizes(click.ParamType[tuple[int, ...]]):
    """``1,8,32``: whole numbers."""

    name = "N,N,N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """To a tuple of ints."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a comma-separated list of whole numbers, such as 1,8,32", param, ctx)


class Numbers(click.ParamType[tuple[float, ...]]):
    """``0.485,0.456,0.406``: one number, or one a channel."""

    name = "N[,N…]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """To a tuple of floats."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a number or a comma-separated list of numbers", param, ctx)


class Names(click.ParamType[tuple[str, ...]]):
    """``android,ios``: one name, or several."""

    name = "NAME[,NAME…]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """To a tuple of names."""
        return value if isinstance(value, tuple) else tuple(part.strip() for part in str(value).split(",") if part.strip())


class Size(click.ParamType[int | tuple[int, int]]):
    """``224x224`` for height and width in pixels, or ``256`` for one side."""

    name = "HEIGHTxWIDTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | tuple[int, int]:
        """To one number, or (height, width)."""
        if isinstance(value, (int, tuple)):
            return value
        height, x, width = str(value).partition("x")
        try:
            return (int(height), int(width)) if x else int(height)
        except ValueError:
            self.fail(f"{value!r} is not HEIGHTxWIDTH or a number of pixels", param, ctx)


def read_labels(path: Path | None) -> tuple[str, ...] | None:
    """One label a line; empty lines at the end do not count."""
    if path is None:
        return None
    return tuple(path.read_text(encoding="utf-8").rstrip().splitlines())


def by_target(values: tuple[str, ...], targets: tuple[str, ...]) -> dict[str, str]:
    """``--recipe`` values, each a name for all targets or ``TARGET=NAME``, by target; those without one are left out."""
    named = [value.partition("=") for value in values]
    plain = [value for value, equals, _ in named if not equals]
    if len(plain) > 1:
        raise click.UsageError(f"--recipe names {' and '.join(plain)}; one for all, or TARGET=RECIPE for each.")
    of_all = dict.fromkeys(targets, plain[0]) if plain else {}
    return of_all | {target: name for target, equals, name in named if equals}


def nested_dims(values: tuple[tuple[str, int, int | tuple[int, int]], ...]) -> dict[str, dict[int, int | tuple[int, int]]] | None:
    """``--dim`` values by input name and axis; None if there are none."""
    dims: dict[str, dict[int, int | tuple[int, int]]] = {}
    for name, axis, size in values:
        dims.setdefault(name, {})[axis] = size
    return dims or None
