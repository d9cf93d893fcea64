"""A bound on the memory of a worker that reads a file from anywhere."""

from __future__ import annotations


def limit_memory(size: int) -> None:
    """Bound this process' memory by a file's size: a few bytes can claim to be a vector of billions."""
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    limit = (4 << 30) + 8 * size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
