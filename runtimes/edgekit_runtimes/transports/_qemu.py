"""The QEMU programs of this machine, and whether they are those that edgekit's counters and sysroots were made for."""

from __future__ import annotations

import functools
import re
import subprocess
from dataclasses import dataclass

from edgekit.errors import DeviceUnavailable
from edgekit_runtimes import _debian

SERIES = "7.2"
"""Debian 12's. Counters are built against its plugin interface (version 1); the same series gives the same counts."""


@dataclass(frozen=True)
class Qemu:
    """An emulator that can be used.

    Attributes:
        path: Of the program.
        name: ``qemu-aarch64``.
        version: ``7.2.22``.
    """

    path: str
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def qemu(name: str, package: str) -> Qemu:
    """The program of that name.

    Args:
        name: ``qemu-aarch64``.
        package: Debian's, that has it.

    Raises:
        DeviceUnavailable: It is missing, of another series, or built without plugins (Debian's static ones are).
    """
    path = _debian.find(name)
    if path is None:
        raise DeviceUnavailable(f"{name} is not installed", next_step=_debian.install_line(package))
    version, plugins = _ask(path)
    advice = f"on Debian 12: {_debian.install_line(package)}; elsewhere: in a container of debian:12"
    if not version.startswith(f"{SERIES}."):
        raise DeviceUnavailable(f"{path} is version {version or 'unknown'}", accepted=f"{SERIES}.x, as Debian 12 has it", next_step=advice)
    if not plugins:
        raise DeviceUnavailable(f"{path} was built without plugins, so nothing can count in it (static builds are)", next_step=advice)
    return Qemu(path, name, version)


@functools.cache
def _ask(path: str) -> tuple[str, bool]:
    """Version, and whether it takes plugins."""
    try:
        texts = [
            subprocess.run([path, word], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20).stdout
            for word in ("--version", "--help")
        ]
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceUnavailable(f"{path} does not run: {error}") from None
    found = re.search(r"version (\d+\.\d+\.\d+)", texts[0])
    return found[1] if found else "", "-plugin" in texts[1]
