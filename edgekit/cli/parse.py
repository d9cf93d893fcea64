"""Option values that are more than a word: ``NAME:AXIS=SIZE``, lists of numbers and names, image sizes, shares and budgets, label files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

Chosen = int | tuple[int, ...]
"""A size; or a range as (smallest, largest), (smallest, typical, largest) or those and the step."""


class Dim(click.ParamType[tuple[str, int, Chosen]]):
    """``input:1=100`` for a size; ``input:1=16..128``, ``input:1=16..64..128`` or ``input:1=16..64..128:8`` for a range."""

    name = "NAME:AXIS=SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int, Chosen]:
        """To (input name, axis, size or range)."""
        if isinstance(value, tuple):
            return value
        head, _, size = str(value).rpartition("=")
        name, _, axis = head.rpartition(":")
        limits, _, step = size.partition(":")
        try:
            sizes = [int(part) for part in limits.split("..")]
            if len(sizes) == 1 and not step:
                return name, int(axis), sizes[0]
            if not 2 <= len(sizes) <= 3:
                raise ValueError
            sizes = [sizes[0], sizes[-1], sizes[-1]] if step and len(sizes) == 2 else sizes
            return name, int(axis), (*sizes, int(step)) if step else tuple(sizes)
        except ValueError:
            forms = "input:1=100, or a range such as input:1=16..128, with its typical size 16..64..128, or a step 16..64..128:8"
            self.fail(f"{value!r} is not of the form NAME:AXIS=SIZE: {forms}", param, ctx)


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


class Share(click.ParamType[float]):
    """A share: ``5%`` or ``0.05``."""

    name = "PERCENT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no share, for example 5% or 0.05", param, ctx)
        return float(found[1]) / (100 if found[2] else 1)


class Budget(Share):
    """What may be left: a share (``0.5``, ``50%``), or a number over 1 (``3M``, ``250k``, ``59000000``)."""

    name = "SHARE|NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; its range is for the pass to judge."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMG])", str(value).strip())
        return float(found[1]) * {"k": 1e3, "M": 1e6, "G": 1e9}[found[2]] if found else super().convert(value, param, ctx)


def read_labels(path: Path | None) -> tuple[str, ...] | None:
    """One label a line; empty lines at the end do not count.

    Raises:
        UsageError: It cannot be read, or is no text.
    """
    if path is None:
        return None
    from edgekit import documents

    return tuple(documents.read_text(path, accepted="a text file, one label a line").rstrip().splitlines())


def by_target(values: tuple[str, ...], targets: tuple[str, ...]) -> dict[str, str]:
    """``--recipe`` values, each a name for all targets or ``TARGET=NAME``, by target; those without one are left out."""
    named = [value.partition("=") for value in values]
    plain = [value for value, equals, _ in named if not equals]
    if len(plain) > 1:
        raise click.UsageError(f"--recipe names {' and '.join(plain)}; one for all, or TARGET=RECIPE for each.")
    of_all = dict.fromkeys(targets, plain[0]) if plain else {}
    return of_all | {target: name for target, equals, name in named if equals}


def nested_dims(values: tuple[tuple[str, int, Chosen], ...]) -> dict[str, dict[int, Chosen]] | None:
    """``--dim`` values by input name and axis; None if there are none."""
    dims: dict[str, dict[int, Chosen]] = {}
    for name, axis, size in values:
        dims.setdefault(name, {})[axis] = size
    return dims or None
