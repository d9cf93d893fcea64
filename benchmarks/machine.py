"""The machine and the versions a benchmark ran on, for its results to name."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import psutil

PACKAGES = ("edgekit", "torch", "keras", "ai-edge-litert", "tensorflow-cpu", "litert-torch", "ai-edge-quantizer")


def machine() -> dict[str, str | int]:
    """CPU model, cores, memory and system."""
    return {
        "cpu": _cpu_name(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def versions() -> dict[str, str]:
    """Those of `PACKAGES` that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
