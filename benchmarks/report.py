"""What every benchmark leaves behind: ``results.json`` in its folder, and a Markdown table on standard output."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def keep(folder: Path, benchmark: str, **content: Any) -> None:
    """Write `content` as ``results.json``, under the schema ``edgekit.<benchmark>/1``."""
    document = {"schema": f"edgekit.{benchmark}/1", **content}
    (folder / "results.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]


def verdict(met: bool) -> str:
    """What a table says of a goal."""
    return "met" if met else "**not met**"
