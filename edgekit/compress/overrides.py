"""Options by the user's own modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TypeVar

from edgekit.errors import UsageError
from edgekit.graph import Graph, is_call, module_path

Option = TypeVar("Option")

SUGGESTIONS = 3
"""Module paths an error offers at most."""


def for_module(path: str, default: Option, overrides: Mapping[str, Option]) -> Option:
    """The option of a module path: that of the last override whose glob matches it or a parent of it."""
    chosen = default
    for glob, option in overrides.items():
        if matches(path, glob):
            chosen = option
    return chosen


def matches(path: str, glob: str) -> bool:
    """Whether a glob matches a module path or a parent of it: ``layer1`` and ``layer*`` match ``layer1.0.conv1``."""
    return fnmatchcase(path, glob) or fnmatchcase(path, f"{glob}.*")


def module_paths(graph: Graph) -> tuple[str, ...]:
    """Paths of the modules that made the graph's calls, and of all that hold them, in execution order.

    A module whose calls were folded into others (a batch norm, a dropout) is not among them.
    """
    paths: dict[str, None] = {}
    for node in graph.nodes:
        parts = module_path(node).split(".") if is_call(node) else []
        paths |= dict.fromkeys(".".join(parts[: end + 1]) for end in range(len(parts)))
    return tuple(path for path in paths if path)


def check_modules(graph: Graph, globs: Iterable[str], option: str) -> None:
    """Refuse a glob that no module of the graph has: a misspelt path would otherwise do nothing, and not say so.

    Args:
        graph: What the option is about.
        globs: Module paths or globs, as `matches` takes them.
        option: Its name, for the error: ``overrides of quantize``.

    Raises:
        UsageError: With the nearest paths there are.
    """
    paths = module_paths(graph)
    for glob in globs:
        if not any(matches(path, glob) for path in ("", *paths)):
            near = get_close_matches(glob, paths, n=SUGGESTIONS, cutoff=0.5)
            outer = list(dict.fromkeys(path.partition(".")[0] for path in paths))
            raise UsageError(
                f"{option}: the model has no module {glob!r} that computes anything",
                accepted=near or outer,
                next_step=f"did you mean {near[0]!r}?" if near else "edgekit explain lists the modules of a converted model",
            )
