"""arm64 Linux boards, emulated by QEMU in user mode: instructions, system calls and answers are real, time is not.

Programs for arm64 run in the emulator, on a system of Debian packages (`edgekit_runtimes.native.sysroot`); others are this machine's own.
What a program takes is counted to the instruction and is the same each time, on any host. How long the emulator takes is never told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from edgekit.devices import Address, Completed, DeviceState, Found, Machine, Transport
from edgekit.errors import DeviceFailed, DeviceUnavailable, UsageError
from edgekit_runtimes import _debian
from edgekit_runtimes._compiling import compiled
from edgekit_runtimes.native import marks
from edgekit_runtimes.native.marks import Mark
from edgekit_runtimes.native.sysroot import PROCESSORS, Sysroot, sysroot
from edgekit_runtimes.transports._elf import architecture, require_architecture
from edgekit_runtimes.transports._qemu import Qemu, qemu
from edgekit_runtimes.transports.host import Host

PROGRAM, PACKAGE = "qemu-aarch64", "qemu-user"
ARCHITECTURE = "aarch64"
COUNTER = Path(marks.__file__).with_name("counter.c")
MAX_MARKS = 16 * 2**20
"""Bytes."""


class QemuUser(Host):
    """An emulated board. Its files are this machine's, apart from system files, which are the sysroot's."""

    def __init__(self, address: Address, emulator: Qemu, system: Sysroot) -> None:
        super().__init__(address)
        self._qemu, self._system, self._cpu = emulator, system, address.place

    def machine(self) -> Machine:
        """See `edgekit.devices.Device`."""
        return Machine(
            cpu=self._cpu,
            architecture=ARCHITECTURE,
            cores=1,
            threads=1,
            memory_bytes=psutil.virtual_memory().total,
            system="Debian 12, user mode",
            virtual=True,
            model=f"emulated board, {PROCESSORS[self._cpu].board}",
            emulator=f"{self._qemu}, {self._cpu}",
            versions={str(self._qemu.name): self._qemu.version, **self._system.versions},
        )

    def state(self) -> DeviceState:
        """Nothing that says anything about a device."""
        return DeviceState(at=time.monotonic())

    def push(self, file: Path, *, executable: bool = False) -> str:
        """The file's own path; see `edgekit.devices.Transport`."""
        if executable:
            require_architecture(file, ARCHITECTURE)
        return str(file.resolve())

    def run(
        self, argv: Sequence[str], *, folder: str | None = None, environment: Mapping[str, str] | None = None, timeout: float = 60.0
    ) -> Completed:
        """See `edgekit.devices.Transport`."""
        if not self._emulated(argv, folder):
            return super().run(argv, folder=folder, environment=environment, timeout=timeout)
        variables = [word for name, value in sorted((environment or {}).items()) for word in ("-E", f"{name}={value}")]
        emulated = ["env", "-i", self._qemu.path, *self._options(self._system.path), *variables, *argv]  # no variable of ours reaches it
        done = super().run(emulated, folder=folder, timeout=timeout)
        return Completed(tuple(argv), done.exit_code, done.stdout, done.stderr)

    def count(self, argv: Sequence[str], *, folder: str, timeout: float) -> tuple[Completed, tuple[Mark, ...]]:
        """See `edgekit_runtimes.native.marks.CountingTransport`."""
        out = Path(folder) / "marks"
        if "," in str(out):
            raise UsageError(f"QEMU cannot take a path with a comma: {out}", next_step="set TMPDIR to one without")
        root, named = self._staged(argv, Path(folder))
        counting = ["-plugin", f"{_counter()},out={out}", "-0", named[0], *self._options(root), f"root{named[0]}", *named[1:]]
        done = super().run(["env", "-i", self._qemu.path, *counting], folder=folder, timeout=timeout)
        done = Completed(tuple(argv), done.exit_code, done.stdout, done.stderr)
        if done.exit_code or not out.exists():
            return done, ()
        if out.stat().st_size > MAX_MARKS:
            raise DeviceFailed(f"the program set more marks than {MAX_MARKS} bytes hold")
        return done, marks.read(out.read_text(encoding="ascii", errors="replace"))

    def _staged(self, argv: Sequence[str], folder: Path) -> tuple[Path, list[str]]:
        """A system of this run's own, in which the files that arguments name have names of fixed length.

        Names are copied to the stack and the heap: their lengths move what lies there, and a copy that is aligned otherwise takes
        some instructions more or less. Seen: four of a million.
        """
        root = folder / "root"
        (root / "edgekit").mkdir(parents=True)
        for entry in self._system.path.iterdir():
            (root / entry.name).symlink_to(entry)
        named = list(argv)
        for number, word in enumerate(argv):
            if word.startswith("/") and Path(word).is_file():
                named[number] = f"/edgekit/{number}"
                (root / "edgekit" / str(number)).symlink_to(word)
        return root, named

    def _options(self, root: Path) -> list[str]:
        return ["-cpu", self._cpu, "-L", str(root)]

    def _emulated(self, argv: Sequence[str], folder: str | None) -> bool:
        path = Path(folder or ".") / argv[0] if argv else Path()
        return path.is_file() and architecture(path) == ARCHITECTURE


def _counter() -> Path:
    flags = ("-O2", "-std=gnu17", "-Wall", "-shared", "-fPIC")
    return compiled(COUNTER, "gcc", flags, name="edgekit-counter.so", package="gcc")


class QemuUsers:
    """The plug-in."""

    name = "qemu_user"
    exclusive = False

    def find(self) -> Iterator[Found]:
        """Every processor that can be emulated, or what is missing for it."""
        missing, advice = _missing()
        for cpu, processor in PROCESSORS.items():
            yield Found(f"qemu:{cpu}", f"emulated arm64 board, {processor.board}", missing is None, True, missing, advice)

    def open(self, address: Address) -> Transport:
        """See `edgekit.devices.Transports`."""
        if address.place not in PROCESSORS:
            raise UsageError(f"no emulated board is called {str(address)!r}", accepted=[f"qemu:{cpu}" for cpu in PROCESSORS])
        return QemuUser(address, qemu(PROGRAM, PACKAGE), sysroot(address.place))


def _missing() -> tuple[str | None, str | None]:
    absent = _debian.missing([t for t in _debian.TOOLS if t.program in (PROGRAM, "gcc") or "aarch64" in t.program])
    if absent:
        packages = dict.fromkeys(tool.package for tool in absent)
        return f"packages are not installed: {', '.join(packages)}", _debian.install_line(*packages)
    try:
        qemu(PROGRAM, PACKAGE)
    except DeviceUnavailable as unavailable:
        return unavailable.message, unavailable.next_step
    return None, None


TRANSPORT = QemuUsers()
