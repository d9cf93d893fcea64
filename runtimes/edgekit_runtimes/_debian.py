"""Debian packages the emulators need: which are missing, and the command that installs them.

``python -m edgekit_runtimes._debian`` is ``make setup-emulators``: it installs what is missing where it may, says what is left out
where it may not, and never fails: every test that needs one of these says so and is skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 900.0


@dataclass(frozen=True)
class Tool:
    """A program or file of a Debian package.

    Attributes:
        program: Looked up on the PATH; a path with a slash must exist.
        package: That has it.
        use: What needs it.
    """

    program: str
    package: str
    use: str

    @property
    def present(self) -> bool:
        """Whether it is installed."""
        return Path(self.program).exists() if "/" in self.program else find(self.program) is not None


TOOLS = (
    Tool("gcc", "gcc", "the native runner, and all emulators' counters"),
    Tool("/usr/include/stdio.h", "libc6-dev", "the native runner, and all emulators' counters"),
    Tool("qemu-aarch64", "qemu-user", "arm64 boards: qemu:cortex-a53 … qemu:neoverse-n1"),
    Tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", "arm64 boards: qemu:cortex-a53 … qemu:neoverse-n1, and real ones"),
    Tool(
        "/usr/aarch64-linux-gnu/include/stdio.h", "libc6-dev-arm64-cross", "arm64 boards: qemu:cortex-a53 … qemu:neoverse-n1, and real ones"
    ),
    Tool("qemu-system-arm", "qemu-system-arm", "microcontrollers: qemu:cortex-m3 … qemu:cortex-m55"),
    Tool("arm-none-eabi-gcc", "gcc-arm-none-eabi", "firmware for microcontrollers"),
    Tool("/usr/lib/arm-none-eabi/include/stdio.h", "libnewlib-arm-none-eabi", "firmware for microcontrollers"),
    Tool("adb", "adb", "Android devices, and the emulated one"),
    Tool("ssh", "openssh-client", "boards over ssh"),
    Tool("sshd", "openssh-server", "the test of a real ssh server on this machine"),
)


def find(program: str) -> str | None:
    """Path of a program, also of those that only root's PATH holds (sshd)."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin")


def install_line(*packages: str) -> str:
    """The command that installs packages."""
    return f"apt-get install --no-install-recommends {' '.join(packages)}   (all emulators: make setup-emulators)"


def missing(tools: Sequence[Tool] = TOOLS) -> tuple[Tool, ...]:
    """Those that are not installed."""
    return tuple(tool for tool in tools if not tool.present)


def main() -> int:
    """Install what is missing, or say what that leaves out."""
    absent = missing()
    if not absent:
        return 0
    packages = tuple(dict.fromkeys(tool.package for tool in absent))
    problem = _obstacle() or _install(packages)
    left = missing()
    if left:
        print(f"emulators left out ({problem or 'the packages hold other programs here'}):", file=sys.stderr)
        for tool in left:
            print(f"  {tool.program.rpartition('/')[2]:24} {tool.package:26} {tool.use}", file=sys.stderr)
        print(f"  to have them: {install_line(*dict.fromkeys(t.package for t in left))}", file=sys.stderr)
        print("  tests that need them are skipped and say so", file=sys.stderr)
    return 0


def _obstacle() -> str | None:
    if shutil.which("apt-get") is None:
        return "this system has no apt-get"
    return None if os.geteuid() == 0 else "only root may install packages"


def _install(packages: Sequence[str]) -> str | None:
    """Install them; why not, or None."""
    print(f"installing {', '.join(packages)}", file=sys.stderr)
    install = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages)
    if _apt(install) is None or (problem := _apt(("apt-get", "update", "--quiet")) or _apt(install)) is None:
        return None
    return problem


def _apt(command: Sequence[str]) -> str | None:
    """Run apt; the last line of its complaint, or None."""
    quick = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "DPkg::Lock::Timeout=120")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [*command, *quick], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return f"{' '.join(command[:2])} took longer than {TIMEOUT:.0f} s"
    if done.returncode == 0:
        return None
    lines = (done.stderr or done.stdout).strip().splitlines()
    return f"{' '.join(command[:2])} failed: {lines[-1] if lines else f'exit code {done.returncode}'}"


if __name__ == "__main__":
    sys.exit(main())
