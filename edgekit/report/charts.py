"""Small drawings as inline SVG. Colours are classes, so that the page's light and dark palettes apply."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

WIDTH = 720
BINS = 72


def histogram(values: np.ndarray, low: float, high: float, median: float, unit: str) -> Markup:
    """How values are distributed, but for their long tail, with the median and the band its interval spans.

    Args:
        values: All of them, in `unit`.
        low: Where the median's interval begins.
        high: Where it ends.
        median: The line drawn.
        unit: For the axis.
    """
    height, base = 150, 128
    start, stop = min(float(values.min()), low), max(tail(values), high)
    stop = stop if stop > start else start + max(abs(start), 1.0) * 1e-3
    counts, edges = np.histogram(values, BINS, (start, stop))

    def x(value: float) -> float:
        return WIDTH * (value - start) / (stop - start)

    bar = Markup('<rect class="fill" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1"/>')
    top = (base - 14) / max(int(counts.max()), 1)
    bars = (bar.format(x(left), base - n * top, WIDTH / BINS - 1, n * top) for n, left in zip(counts, edges, strict=False) if n)
    parts = [
        Markup('<rect class="band" x="{:.1f}" y="0" width="{:.1f}" height="{}"/>').format(x(low), max(x(high) - x(low), 2), base),
        *bars,
        Markup('<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>').format(x(median), base),
        _axis(start, stop, base, unit),
    ]
    return _svg(height, f"histogram of {len(values)} runs", parts)


def tail(values: np.ndarray) -> float:
    """Where the long tail begins: six times the middle half above it, but between the 95th and the 99th percentile."""
    quarter, half_above, p95, p99 = np.percentile(values, (25, 75, 95, 99))
    return float(np.clip(half_above + 6 * (half_above - quarter), p95, p99))


def launches(samples: Sequence[np.ndarray], unit: str) -> Markup:
    """Each launch as a line: the middle half of its runs, and a dot at its median.

    Args:
        samples: Of each launch, in `unit`.
        unit: For the axis.
    """
    step, base = 16, 16 * len(samples) + 8
    quartiles = [np.percentile(s, (25, 50, 75)) for s in samples]
    start, stop = float(min(q[0] for q in quartiles)), float(max(q[2] for q in quartiles))
    pad = max((stop - start) * 0.08, abs(stop) * 1e-3, 1e-9)
    start, stop = start - pad, stop + pad

    def x(value: float) -> float:
        return 64 + (WIDTH - 64) * (value - start) / (stop - start)

    line = Markup('<text x="0" y="{:.1f}">launch {}</text><line class="whisker" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
    dot = Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="4"/>')
    parts: list[Markup] = []
    for i, (low, middle, high) in enumerate(quartiles):
        y = step * i + 10
        parts += [line.format(y + 4, i + 1, x(low), x(high), y, y), dot.format(x(middle), y)]
    return _svg(base + 22, f"medians of {len(samples)} launches", [*parts, _axis(start, stop, base, unit, 64)])


def intervals(rows: Sequence[tuple[str, float, float, float]]) -> Markup:
    """Estimates with their intervals, one under the other on one scale; the last is the one that matters.

    Args:
        rows: Label, value, low, high.
    """
    width, left = 240, 52
    start, stop = min(r[2] for r in rows), max(r[3] for r in rows)
    pad = max((stop - start) * 0.1, 1e-6)
    start, stop = start - pad, stop + pad

    def x(value: float) -> float:
        return left + (width - left) * (value - start) / (stop - start)

    form = Markup(
        '<text x="0" y="{0:.1f}">{1}</text><line class="whisker{2}" x1="{3:.1f}" x2="{4:.1f}" y1="{5}" y2="{5}"/>'
        '<circle class="dot{2}" cx="{6:.1f}" cy="{5}" r="4"/>'
    )
    parts = []
    for i, (label, value, low, high) in enumerate(rows):
        y, other = 10 + 18 * i, "" if i == len(rows) - 1 else " other"
        parts.append(form.format(y + 4, label, other, x(low), x(high), y, x(value)))
    return _svg(18 * len(rows) + 4, "estimates with 95 % intervals", parts, width)


def curve(points: Sequence[tuple[float, float, float, float]], unit: str, mark: float | None = None) -> Markup:
    """A quantity over seconds: a line, the band around it, and a mark where something began.

    Args:
        points: Seconds, value, low, high.
        unit: For the axis.
        mark: Seconds, or None.
    """
    base, left = 128, 72
    stop = points[-1][0] or 1.0
    low, high = min(p[2] for p in points), max(p[3] for p in points)
    pad = max((high - low) * 0.08, abs(high) * 2e-2, 1e-9)
    low, high = low - pad, high + pad

    def at(seconds: float, value: float) -> str:
        return f"{left + (WIDTH - left) * seconds / stop:.1f},{base * (1 - (value - low) / (high - low)):.1f}"

    band = " ".join([*(at(t, top) for t, _, _, top in points), *(at(t, bottom) for t, _, bottom, _ in reversed(points))])
    parts = [
        Markup('<polygon class="band" points="{}"/>').format(band),
        Markup('<polyline class="whisker" fill="none" points="{}"/>').format(" ".join(at(t, v) for t, v, _, _ in points)),
        *(
            Markup('<text x="0" y="{:.0f}">{} {}</text>').format(y, f"{value:.0f}" if value >= 100 else f"{value:.3g}", unit)
            for y, value in ((10, high), (base, low))
        ),
        _axis(0.0, stop, base, "s", left),
    ]
    if mark is not None:
        x = left + (WIDTH - left) * mark / stop
        parts.append(Markup('<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>').format(x, base))
    return _svg(base + 22, f"{unit} over {stop:.0f} s", parts)


def by_place(lines: Sequence[tuple[str, Sequence[float]]], dots: Sequence[float], unit: str) -> Markup:
    """One figure a place, in order: lines of what adds up, and dots of what each place does alone.

    Args:
        lines: Label and figures of each line, as many as there are places; infinite ones are drawn at the top.
        dots: As many.
        unit: For the axis.
    """
    height, base, left = 190, 160, 64
    finite = [v for values in (*(v for _, v in lines), dots) for v in values if np.isfinite(v)] or [0.0]
    low, high = min(0.0, *finite), max(1.0, *finite)
    step = (WIDTH - left) / max(len(dots), 1)

    def at(place: int, value: float) -> tuple[float, float]:
        return left + step * (place + 0.5), base - (base - 12) * (min(max(value, low), high) - low) / (high - low)

    tick = Markup('<text x="0" y="{0:.1f}">{1:.0f} {2}</text><line class="rule" x1="{3}" x2="{4}" y1="{5:.1f}" y2="{5:.1f}"/>')
    parts = [tick.format(at(0, v)[1] + 4, v, unit, left, WIDTH, at(0, v)[1]) for v in np.linspace(low, high, 4)]
    for number, (label, values) in enumerate(lines):
        points = " ".join("{:.1f},{:.1f}".format(*at(i, v)) for i, v in enumerate(values))
        shape = Markup('<polyline class="whisker{}" fill="none" points="{}"><title>{}</title></polyline>')
        parts.append(shape.format(" other" if number else "", points, label))
    circle = Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}: {:.1f} {}</title></circle>')
    parts += [circle.format(*at(i, v), i + 1, v, unit) for i, v in enumerate(dots)]
    parts.append(Markup('<text x="{}" y="{}">1</text><text x="{}" y="{}" text-anchor="end">{}</text>').format(
        left, height - 12, WIDTH, height - 12, len(dots)
    ))  # fmt: skip
    return _svg(height, f"{unit} of {len(dots)} places in order", parts)


def share_bar(share: float, most: float, delegated: bool) -> Markup:
    """A bar in a table cell, as long as `share` is of the largest."""
    if not share:
        return Markup("")
    width = 100 * share / most if most else 0
    return Markup('<span class="track"><span class="bar{}" style="width:{:.1f}%"></span></span>').format("" if delegated else " cpu", width)


def _axis(start: float, stop: float, y: float, unit: str, left: float = 0) -> Markup:
    rule = Markup('<line class="rule" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(left, WIDTH, y, y)
    tick = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    places = ((0.0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1.0, "end"))
    span = stop - start
    digits = int(np.clip(2 - np.floor(np.log10(span)), 0, 6)) if span > 0 else 3
    labels = ((left + (WIDTH - left) * at, anchor, f"{start + span * at:.{digits}f} {unit}") for at, anchor in places)
    return Markup("").join([rule, *(tick.format(x, y + 16, anchor, text) for x, anchor, text in labels)])


def _svg(height: float, label: str, parts: Sequence[Markup], width: int = WIDTH) -> Markup:
    opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(width, height, label)
    return opening + Markup("").join(parts) + Markup("</svg>")
