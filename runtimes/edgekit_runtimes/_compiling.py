"""Compile a C file once for each compiler and source: programs that run on devices, and the counters emulators load."""

from __future__ import annotations

import functools
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import DeviceUnavailable, EdgekitError
from edgekit_runtimes import _cache, _debian

TIMEOUT = 120.0


def compiled(source: Path, compiler: str, flags: Sequence[str], *, name: str, package: str, libraries: Sequence[str] = ()) -> Path:
    """Path of the program or library made of a C file, kept for the next time.

    Args:
        source: The C file; what it includes of its own folder counts as its content.
        compiler: ``aarch64-linux-gnu-gcc``.
        flags: Before the source.
        name: Of the result.
        package: Debian's, that has the compiler.
        libraries: After the source (``-lm``).

    Raises:
        DeviceUnavailable: The compiler or its C library is not installed.
        EdgekitError: It refuses the source.
    """
    path = _debian.find(compiler)
    if path is None:
        raise DeviceUnavailable(f"{source.name} must be compiled and {compiler} is not installed", next_step=_debian.install_line(package))
    digests = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(source.parent.glob("*.[ch]"))}
    key = {"source": source.name, "files": digests, "compiler": _version(path), "flags": [*flags, *libraries], "name": name}
    return _cache.kept("compiled", key, lambda folder: _compile([path, *flags, str(source), *libraries], folder / name)) / name


@functools.cache
def _version(compiler: str) -> str:
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False, timeout=TIMEOUT)
    return compiler + " " + done.stdout.partition("\n")[0]


def _compile(command: Sequence[str], target: Path) -> None:
    done = subprocess.run([*command, "-o", str(target)], capture_output=True, text=True, check=False, timeout=TIMEOUT)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["no message"]
        advice = _debian.install_line("libc6-dev", "libc6-dev-arm64-cross") if "No such file" in done.stderr else None
        raise EdgekitError(f"{Path(command[0]).name} cannot compile {target.name}: {lines[0]}", next_step=advice)
