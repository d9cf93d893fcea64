"""The JSON documents edgekit writes, each with its published JSON Schema beside this file.

`validate` checks a document against one of them. It knows the few keywords the schemas use, so that
reading an artifact needs no further package; a test holds it against the ``jsonschema`` package.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError

FOLDER = Path(__file__).parent
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


@functools.cache
def schema(name: str) -> dict[str, Any]:
    """A published schema by file stem (``artifact-1``)."""
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return document


def validate(document: Any, name: str, origin: str) -> None:
    """Check `document` against the schema called `name`.

    Args:
        document: Parsed JSON.
        name: File stem of the schema.
        origin: What the document is called in the error.

    Raises:
        UsageError: The first violation, with the place it is at.
    """
    root = schema(name)
    for where, problem in _violations(document, root, root, ""):
        raise UsageError(f"{origin} is malformed at {where or 'its top level'}: {problem}", accepted=f"a document of schema {root['$id']}")


def _violations(value: Any, rule: dict[str, Any], root: dict[str, Any], where: str) -> Iterator[tuple[str, str]]:
    if "$ref" in rule:
        rule = root["$defs"][rule["$ref"].rpartition("/")[2]]
    if not _has_type(value, rule.get("type")):
        yield where, f"got {_shown(value)}, expected {rule['type']}"
        return
    yield from ((where, problem) for problem in _own_violations(value, rule))
    if isinstance(value, dict):
        yield from _object_violations(value, rule, root, where)
    elif isinstance(value, list) and "items" in rule:
        for index, item in enumerate(value):
            yield from _violations(item, rule["items"], root, f"{where}[{index}]")


def _has_type(value: Any, accepted: str | list[str] | None) -> bool:
    if accepted is None:
        return True
    names = [accepted] if isinstance(accepted, str) else accepted
    if isinstance(value, bool):
        return "boolean" in names
    return isinstance(value, tuple(t for n in names for t in _TYPES[n]))


def _own_violations(value: Any, rule: dict[str, Any]) -> Iterator[str]:
    if "const" in rule and value != rule["const"]:
        yield f"got {_shown(value)}, expected {rule['const']!r}"
    if "enum" in rule and value not in rule["enum"]:
        yield f"got {_shown(value)}, expected one of {rule['enum']}"
    if "pattern" in rule and isinstance(value, str) and not re.search(rule["pattern"], value):
        yield f"got {_shown(value)}, expected a match of {rule['pattern']}"
    if "minimum" in rule and isinstance(value, (int, float)) and value < rule["minimum"]:
        yield f"got {value}, expected at least {rule['minimum']}"
    if isinstance(value, list) and not rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)):
        yield f"got {len(value)} items, expected {rule.get('minItems', 0)} to {rule.get('maxItems', 'any number')}"


def _object_violations(value: dict[str, Any], rule: dict[str, Any], root: dict[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for key in rule.get("required", ()):
        if key not in value:
            yield where, f"{key!r} is missing"
    known, further = rule.get("properties", {}), rule.get("additionalProperties", True)
    for key, item in value.items():
        path = f"{where}.{key}" if where else key
        if key in known:
            yield from _violations(item, known[key], root, path)
        elif further is False:
            yield where, f"unknown key {key!r}"
        elif isinstance(further, dict):
            yield from _violations(item, further, root, path)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
