"""sha256 of models, in hex: of a file, and of a model that is a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path


def of_file(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_files(digests: Mapping[str, str]) -> str:
    """Of several files: of their digests and relative POSIX paths, a line each, in the order of the paths (as ``sha256sum`` prints)."""
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()).hexdigest()


def of_folder(folder: Path) -> str:
    """Of all files of a folder, by their paths from where it lies."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return of_files({p.relative_to(folder.parent).as_posix(): of_file(p) for p in files})
