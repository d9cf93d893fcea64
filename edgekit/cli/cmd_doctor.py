"""`edgekit doctor`: whether this installation can do its work, and what to install if not."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgekit
from edgekit.cli.command import Terminal, command
from edgekit.cli.tables import table
from edgekit.units import size

if TYPE_CHECKING:
    from packaging.requirements import Requirement

NEEDED_EXTRAS = ("keras", "litert")
"""Extras without which a built-in source or target does not work; the others are for special cases."""
DEVELOPMENT = ("test", "demo", "all", "peers")
CPU_FLAGS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")


@dataclass(frozen=True)
class Package:
    """One requirement of edgekit.

    Attributes:
        name: On the package index.
        needs: Versions edgekit accepts.
        version: What is installed, or None.
        tested: The version edgekit was tested with, or None.
        good: Whether what is installed satisfies `needs`.
    """

    name: str
    needs: str
    version: str | None
    tested: str | None
    good: bool


@command("doctor")
def doctor(terminal: Terminal) -> int:
    """Say what is installed, what is missing, and the command that installs it.

    Exits with 0 if PyTorch and Keras models can be converted and run here, and with 4 if not.
    """
    base, extras = _requirements()
    healthy = all(p.good for p in base) and all(p.good for extra in NEEDED_EXTRAS for p in extras.get(extra, []))
    if terminal.as_json:
        terminal.emit("edgekit.doctor/1", _as_data(base, extras, healthy))
    else:
        terminal.show(_table(base, extras), _machine_line(), *_advice(base, extras, healthy))
    return 0 if healthy else 4


def _requirements() -> tuple[list[Package], dict[str, list[Package]]]:
    """Base requirements, and those of each extra, from the installed distribution's own metadata."""
    from importlib import metadata

    from packaging.requirements import Requirement

    base: list[Package] = []
    extras: dict[str, list[Package]] = {e: [] for e in metadata.metadata("edgekit").get_all("Provides-Extra") or () if e not in DEVELOPMENT}
    for line in metadata.requires("edgekit") or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            base.append(_installed(requirement))
            continue
        for extra, packages in extras.items():
            if requirement.marker.evaluate({"extra": extra}):
                packages.append(_installed(requirement))
    return base, extras


def _installed(requirement: Requirement) -> Package:
    from importlib import metadata

    tested = _tested_versions().get(requirement.name.lower())
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Package(requirement.name, str(requirement.specifier), None, tested, False)
    return Package(requirement.name, str(requirement.specifier), version, tested, requirement.specifier.contains(version, prereleases=True))


@cache
def _tested_versions() -> dict[str, str]:
    """``constraints.txt``: inside the wheel, or at the root of a checkout."""
    package = Path(edgekit.__file__).parent
    path = next((p for p in (package / "constraints.txt", package.parent / "constraints.txt") if p.is_file()), None)
    lines = path.read_text(encoding="utf-8").splitlines() if path else []
    return dict(line.split("==") for line in lines if "==" in line)


def _table(base: list[Package], extras: dict[str, list[Package]]) -> object:
    from rich.text import Text

    rows = []
    for group, packages in {"edgekit itself": base, **extras}.items():
        for p in packages:
            sign = Text("ok", "green") if p.good else Text("old", "red") if p.version else Text("–", "yellow")
            rows.append((sign, p.name, p.version or "not installed", p.needs, p.tested or "", group))
    return table(("", "package", "installed", "needs", "tested with", "for"), rows)


def _advice(base: list[Package], extras: dict[str, list[Package]], healthy: bool) -> list[str]:
    lines = [
        f"[{extra}] is incomplete: pip install 'edgekit[{extra}]'"
        for extra, packages in extras.items()
        if not all(p.good for p in packages)
    ]
    if not all(p.good for p in base):
        lines.append("edgekit itself is incomplete: pip install --upgrade edgekit")
    lines.append("ready to convert and run" if healthy else "not ready: install what is named above")
    return lines


def _machine() -> dict[str, Any]:
    import psutil

    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "cpu_features": _cpu_features(),
    }


def _cpu_features() -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    flags = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.partition(":")[2].split()}
    return [flag for flag in CPU_FLAGS if flag in flags]


def _machine_line() -> str:
    m = _machine()
    features = ", ".join(m["cpu_features"]) or "unknown CPU features"
    return f"\n{m['system']} {m['machine']}, Python {m['python']}, {m['cores']} cores, {size(m['memory_bytes'])}, {features}"


def _as_data(base: list[Package], extras: dict[str, list[Package]], healthy: bool) -> dict[str, Any]:
    groups = {"base": base, **extras}
    advice = {extra: f"pip install 'edgekit[{extra}]'" for extra, packages in extras.items() if not all(p.good for p in packages)}
    packages = {group: [vars(p) for p in found] for group, found in groups.items()}
    return {"healthy": healthy, "machine": _machine(), "packages": packages, "missing": advice}
