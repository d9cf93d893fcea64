"""Which processor a program is for, by its ELF header: a wrong one is refused here, not guessed from a shell's confusion there."""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import DeviceFailed

MACHINES = {
    3: "i386",
    8: "mips",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}
"""``e_machine`` to the kernel's name, from the System V ABI's registry."""
_ALSO_RUNS = {"aarch64": {"arm"}, "x86_64": {"i386"}}


def architecture(file: Path) -> str | None:
    """What an ELF file was built for, or None if it is none (a script)."""
    with file.open("rb") as stream:
        header = stream.read(20)
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return None
    number = int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")
    return MACHINES.get(number, f"machine {number}")


def require_architecture(file: Path, machine: str) -> None:
    """Raise `DeviceFailed` if a program cannot run on such a machine (``uname -m``)."""
    built = architecture(file)
    here = "arm" if machine.startswith("armv") else "i386" if machine in ("i486", "i586", "i686") else machine
    if built not in (None, here, *_ALSO_RUNS.get(here, ())):
        raise DeviceFailed(
            f"{file.name} is built for {built}, the device is {machine}", accepted=machine, next_step="build it for the device"
        )
