"""Times, sizes and shares as people read them."""

from __future__ import annotations


def duration(milliseconds: float | None) -> str:
    """Three significant digits, in the unit that reads best."""
    if milliseconds is None:
        return "unknown"
    for unit, factor in (("s", 1e-3), ("ms", 1.0), ("µs", 1e3)):
        if milliseconds * factor >= 1 or unit == "µs":
            return f"{digits(milliseconds * factor)} {unit}"
    raise AssertionError


def size(count: int | None) -> str:
    """Bytes in decimal units, as stores and file managers count."""
    if count is None:
        return "unknown"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= factor:
            return f"{digits(count / factor)} {unit}"
    return f"{count} B"


def share(value: float) -> str:
    """A share in percent, with a decimal while it is small."""
    return f"{value:.0%}" if value >= 0.1 else f"{value:.1%}"


def digits(value: float) -> str:
    """A number of at least three significant digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.001 else "0"
