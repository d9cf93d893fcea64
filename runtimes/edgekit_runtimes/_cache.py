"""Things made once and kept: compiled programs, fetched libraries. Each in a folder named by a digest of all it was made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgekit import staging
from edgekit.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows: two that make the same at once both make it
    fcntl = None  # type: ignore[assignment]


def folder() -> Path:
    """``$EDGEKIT_CACHE``, else ``edgekit`` in the user's cache folder. It may be deleted at any time."""
    if chosen := os.environ.get("EDGEKIT_CACHE"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "edgekit"


def kept(kind: str, key: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
    """The folder that `make` filled for this `key`, now or earlier.

    Args:
        kind: Part of the path: ``sysroot``.
        key: JSON values: everything the content depends on.
        make: Fills an empty folder. If it raises, nothing is kept. Processes that want the same wait for the first.

    Raises:
        UsageError: The cache cannot be written.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    path = folder() / kind / digest
    if not path.is_dir():
        with _alone(path):
            if not path.is_dir():
                with staging.new_folder(path) as fresh:
                    make(fresh)
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is making `path`. The lock's file stays: removing it would let two in."""
    if fcntl is None:
        yield
        return
    locks = folder() / "locks"
    try:
        locks.mkdir(parents=True, exist_ok=True)
        file = (locks / path.name).open("wb")
    except OSError as error:
        choice = "set EDGEKIT_CACHE to a folder you may write"
        raise UsageError(f"cannot write the cache {locks}: {error.strerror}", next_step=choice) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
