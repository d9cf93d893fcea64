"""The README's benchmark section, from ``results.json``.

python -m benchmarks.table build/bench/results.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import markdown, verdict

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- benchmarks: written by `make bench` -->", "<!-- /benchmarks -->"


def render(results: Mapping[str, Any]) -> str:
    """The section between `BEGIN` and `END`, as Markdown."""
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; "
        + _versions(results["versions"])
        + ".",
        "",
    ]
    lines += markdown(
        ("model", "tool", "accuracy", "as float", "SQNR, dB", "bytes", "latency, ms", "edgekit / tool", "conversion, s", "peak, MiB"),
        _entries(results),
    )
    lines += ["", *markdown(("goal", "measured", "wanted", ""), _goals(results))]
    lines += ["", *(f"* {remark}" for remark in results["remarks"])] if results["remarks"] else []
    return "\n".join(lines)


def update(readme: Path, section: str) -> None:
    """Put `section` between the marks."""
    head, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    readme.write_text(f"{head}{BEGIN}\n{section}\n{END}{tail}", encoding="utf-8")


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _entries(results: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for entry in results["entries"]:
        ratio = results["latency"].get(entry["model"], {}).get(entry["tool"])
        file, costs = entry["file"], entry["costs"]
        yield (
            entry["model"],
            entry["tool"],
            _shown(file and file["accuracy"], "{:.3f}"),
            _shown(file and file.get("agreement"), "{:.1%}"),
            _shown(file and file.get("sqnr_db"), "{:.1f}"),
            _shown(file and file["bytes"], "{:,}") if not entry["failure"] else f"fails: {entry['failure']}",
            _shown(entry["latency"], "{:.3f}"),
            f"{ratio['value']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})" if ratio else "",
            _shown(_median([c["seconds"] for c in costs]), "{:.1f}"),
            _shown(_median([c["peak_bytes"] / 2**20 for c in costs]), "{:.0f}"),
        )


def _goals(results: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for goal in results["goals"]:
        yield goal["name"], goal["measured"], goal["wanted"], verdict(goal["met"])


def _median(values: Sequence[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def _shown(value: Any, form: str) -> str:
    return "" if value is None else form.format(value)


if __name__ == "__main__":
    update(README, render(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
