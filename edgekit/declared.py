"""Frozen dataclasses from the tables of users' documents: only keys that are fields, only values of the types that the fields declare."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from edgekit.errors import UsageError

T = TypeVar("T")

WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "nothing"}


def build(cls: type[T], table: Mapping[str, Any], what: str, *, kind: str = "option") -> T:
    """An instance of a dataclass from a table of TOML or JSON, where lists stand for tuples, and one value for a list of one.

    Args:
        cls: The dataclass.
        table: Values by field name.
        what: What the table is, for messages (``int8.toml: pass 'prune'``).
        kind: What its keys are, for messages.

    Raises:
        UsageError: No table, a key that is no field, a field without a default that is missing, or a value of another type than declared.
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{what} is {table!r}", accepted="a table")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]  # T is a dataclass, which typing cannot say
    if unknown := sorted(set(table) - set(fields)):
        raise UsageError(f"{what} has no {kind} {unknown}", accepted=sorted(fields))
    if missing := [name for name, f in fields.items() if name not in table and _is_required(f)]:
        raise UsageError(f"{what} lacks {missing}", accepted=sorted(fields))
    hints = typing.get_type_hints(cls)
    values = {}
    for name, value in table.items():
        if not _fits(value, hints[name]):
            raise UsageError(f"{what}: {name} is {value!r}", accepted=_words(hints[name]))
        values[name] = _as_declared(value, hints[name])
    return cls(**values)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _fits(value: Any, declared: Any) -> bool:
    if _is_union(declared):
        return any(_fits(value, member) for member in typing.get_args(declared))
    origin, members = typing.get_origin(declared), typing.get_args(declared)
    if origin is tuple:
        return _fits_tuple(value, members)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_fits(v, members[1]) for v in value.values())
    if declared in WORDS:
        return isinstance(value, (int, float) if declared is float else declared) and (declared is bool or not isinstance(value, bool))
    return True


def _fits_tuple(value: Any, members: tuple[Any, ...]) -> bool:
    if members[-1] is not Ellipsis:
        return isinstance(value, (list, tuple)) and len(value) == len(members) and all(map(_fits, value, members))
    return all(_fits(v, members[0]) for v in (value if isinstance(value, (list, tuple)) else [value]))


def _as_declared(value: Any, declared: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if _is_union(declared):
        declared = next(member for member in typing.get_args(declared) if _fits(value, member))
    return (value,) if typing.get_origin(declared) is tuple and not isinstance(value, tuple) else value


def _is_union(declared: Any) -> bool:
    return typing.get_origin(declared) in (typing.Union, types.UnionType)


def _words(declared: Any) -> str:
    if _is_union(declared):
        return " or ".join(_words(member) for member in typing.get_args(declared) if member is not type(None))
    origin, members = typing.get_origin(declared), typing.get_args(declared)
    if origin is tuple:
        return f"a list, each {_words(members[0])}" + ("" if members[-1] is Ellipsis else f", {len(members)} of them")
    if origin is not None and issubclass(origin, Mapping):
        return f"a table, each value {_words(members[1])}"
    return WORDS.get(declared, getattr(declared, "__name__", str(declared)))
