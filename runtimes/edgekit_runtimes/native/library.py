"""``libLiteRt.so`` for a processor: all of LiteRT the runner needs, out of the same version's wheel for that processor."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from edgekit.errors import DeviceUnavailable, UsageError
from edgekit.plugins import require
from edgekit_runtimes import _cache

NAME = "libLiteRt.so"
"""Shipped alone: with the wheel's WebGPU accelerator beside it, cores without LSE atomics (Cortex-A53, A72) abort."""
ARCHITECTURES = ("x86_64", "aarch64")
GLIBC_MINORS = range(17, 37)
TIMEOUT = 300.0


def version() -> str:
    """Of ai-edge-litert here; devices get the same, so that answers can be compared bit for bit."""
    require("ai_edge_litert", "litert")
    return importlib.metadata.version("ai-edge-litert")


def library(architecture: str) -> Path:
    """The file for a processor (``uname -m``), fetched once with pip where it is not this machine's own.

    ``EDGEKIT_LITERT_AARCH64`` (or ``_X86_64``) names a file to use instead.

    Raises:
        UsageError: LiteRT has none for that processor.
        DeviceUnavailable: It cannot be fetched.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"LiteRT has no library for {architecture}", accepted=ARCHITECTURES)
    variable = f"EDGEKIT_LITERT_{architecture.upper()}"
    if given := os.environ.get(variable):
        if not Path(given).is_file():
            raise UsageError(f"{variable} names no file: {given}")
        return Path(given).absolute()
    key = {"package": "ai-edge-litert", "version": version(), "architecture": architecture}
    own = platform.machine() == architecture and sys.platform == "linux"
    return _cache.kept("litert", key, _copy if own else lambda folder: _fetch(folder, architecture)) / NAME


def _copy(folder: Path) -> None:
    """Away from the accelerators that stand beside it in the installed wheel."""
    spec = importlib.util.find_spec("ai_edge_litert")
    source = Path(spec.origin).parent / NAME if spec and spec.origin else None
    if source is None or not source.is_file():
        raise DeviceUnavailable(f"the installed ai-edge-litert holds no {NAME}", next_step="pip install --force-reinstall ai-edge-litert")
    shutil.copyfile(source, folder / NAME)


def _fetch(folder: Path, architecture: str) -> None:
    python = f"{sys.version_info.major}{sys.version_info.minor}"
    platforms = [word for minor in GLIBC_MINORS for word in ("--platform", f"manylinux_2_{minor}_{architecture}")]
    kind = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    wanted = f"ai-edge-litert=={version()}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    _run([*command, *kind, *platforms, wanted], wanted, architecture)
    (wheel,) = folder.glob("*.whl")
    _extract(wheel, folder)
    wheel.unlink()


def _run(command: list[str], wanted: str, architecture: str) -> None:
    advice = f"give this machine access to a package index once, or set EDGEKIT_LITERT_{architecture.upper()} to a {NAME} of that version"
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise DeviceUnavailable(f"{wanted} for {architecture} was not there within {TIMEOUT:.0f} s", next_step=advice) from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line or "No module" in line] or done.stderr.splitlines() or [""]
        raise DeviceUnavailable(f"pip cannot fetch {wanted} for {architecture}: {lines[-1].strip()}", next_step=advice)


def _extract(wheel: Path, folder: Path) -> None:
    """The library, and nothing else of the wheel; its digest is the one the wheel's own record states."""
    member = f"ai_edge_litert/{NAME}"
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(member)
        record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        rows = {row[0]: row[1] for row in csv.reader(archive.read(record).decode().splitlines()) if row}
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    if rows.get(member) != f"sha256={digest}":
        raise DeviceUnavailable(f"{wheel.name} is damaged: {member} is not what its record says", next_step="try again")
    (folder / NAME).write_bytes(content)
