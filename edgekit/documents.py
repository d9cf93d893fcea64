"""Text files that users write or edgekit keeps: plain, TOML and JSON, read with errors that name the file and written whole."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit import staging
from edgekit.errors import UsageError


def read_text(path: Path, *, accepted: Sequence[str] | str = "a text file, UTF-8") -> str:
    """A file's text.

    Args:
        path: The file.
        accepted: What to name instead of it.

    Raises:
        UsageError: It cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", accepted=accepted) from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read {path}: it is not text", accepted=accepted) from None


def parse_toml(text: str, origin: Path | str, schema: str | None = None) -> dict[str, Any]:
    """A TOML document, without its ``schema`` line where one is asked for.

    Args:
        text: The document.
        origin: What it is called in errors.
        schema: What its ``schema`` line must say, or None for documents that have none.

    Raises:
        UsageError: It is no TOML, or of another schema.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin} is not valid TOML: {error}") from None
    if schema is not None and (found := data.pop("schema", None)) != schema:
        said = "no schema line" if found is None else f"schema {found!r}"
        raise UsageError(f"{origin} has {said}", accepted=f'schema = "{schema}"')
    return data


def read_toml(path: Path, schema: str | None = None, *, accepted: Sequence[str] | str = "a TOML file") -> dict[str, Any]:
    """A TOML file; see `parse_toml`.

    Raises:
        UsageError: It cannot be read, is no TOML, or of another schema.
    """
    return parse_toml(read_text(path, accepted=accepted), path, schema)


def read_json(path: Path, *, next_step: str | None = None) -> Any:
    """What a JSON file holds.

    Args:
        path: The file.
        next_step: What to do about one that is damaged.

    Raises:
        UsageError: It cannot be read, or is no JSON; ``NaN`` and ``Infinity`` are none.
    """
    text = read_text(path, accepted="a JSON file")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid JSON: {error}", next_step=next_step) from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def json_bytes(document: Any) -> bytes:
    """A JSON document as edgekit writes it into files: one value a line, UTF-8, without the constants that JSON lacks."""
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document, whole or not at all; its folder is made if need be.

    Raises:
        UsageError: It cannot be written.
    """
    staging.write_file(path, json_bytes(document))
