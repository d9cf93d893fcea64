"""The machine and the versions a benchmark ran on, for its results to name."""

from __future__ import annotations

import json
import platform
import subprocess
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


def versions(python: str) -> dict[str, str]:
    """Those of `PACKAGES` that an interpreter's environment has."""
    code = f"""
import json
from importlib import metadata
have = {{d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()}}
print(json.dumps({{name: have[name] for name in {PACKAGES!r} if name in have}}))
"""
    result = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(result.stdout)
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
