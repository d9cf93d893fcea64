"""Options of a conversion as JSON, for a worker to unpack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.preprocess import Preprocess
from edgekit.recipe import Recipe


def packed(value: Any) -> Any:
    """`value` as JSON.

    Raises:
        UsageError: It is of a type that cannot be handed to another process.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [packed(v) for v in value]
    if isinstance(value, Mapping):
        return {"mapping": [[packed(k), packed(v)] for k, v in value.items()]}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, Preprocess):
        return {"preprocess": value.to_json()}
    if isinstance(value, Recipe):
        return {"recipe": value.to_toml()}
    raise UsageError(f"an option of type {type(value).__name__} cannot be handed to another process", accepted="names, numbers and paths")


def unpacked(value: Any) -> Any:
    """Inverse of `packed`; tuples come back as tuples, and lists too."""
    if isinstance(value, list):
        return tuple(unpacked(v) for v in value)
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "mapping":
        return {unpacked(k): unpacked(v) for k, v in content}
    if kind == "path":
        return Path(content)
    return Preprocess.from_json(content) if kind == "preprocess" else Recipe.from_toml(content)
