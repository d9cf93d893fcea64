"""Memory that reading a package may take: a few bytes can claim to be a tensor of billions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.errors import LoadError

_BASE = 6 << 30
_PER_BYTE = 64  # of the package: one bit of an index becomes a float32, twice


@contextmanager
def limited(path: Path) -> Iterator[None]:
    """Bound the memory of this process for good; tell a package that needs more in the block from one that does not.

    Raises:
        LoadError: The block ran out of it.
    """
    _bound(sum(p.stat().st_size for p in path.rglob("*") if p.is_file()))
    try:
        yield
    except MemoryError:
        raise LoadError(f"{path.name} unpacks to more memory than a package of its size can need") from None


def _bound(size: int) -> None:
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    limit = _BASE + _PER_BYTE * size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
