"""``adb:loopback``: the emulated Android device with an arm64 processor, started when it is opened, gone when it is closed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.devices import Address, Completed
from edgekit.errors import DeviceFailed, DeviceUnavailable
from edgekit_runtimes.native import marks
from edgekit_runtimes.native.marks import Mark
from edgekit_runtimes.native.sysroot import PROCESSORS, sysroot
from edgekit_runtimes.transports._adb_line import AdbLine
from edgekit_runtimes.transports._loopback.device import LoopbackDevice
from edgekit_runtimes.transports._posix import PosixTransport
from edgekit_runtimes.transports.qemu_user import ARCHITECTURE, QemuUser, QemuUsers

CPU = "cortex-a76"
MARKS = "EDGEKIT_MARKS"
"""Variable of a program whose instructions are to be counted: the file for the marks it sets."""


class LoopbackAdb(PosixTransport):
    """The device, as the adb client reaches it.

    Raises:
        DeviceUnavailable: QEMU or a package for it is missing, or the client does not connect.
    """

    def __init__(self, client: str, cache: str) -> None:
        self._client, self._folder = client, Path(tempfile.mkdtemp(prefix="edgekit-adb-"))
        self._device: LoopbackDevice | None = None
        try:
            self._device = arm64(self._folder)
            _adb(client, "connect", self._device.serial)
        except BaseException:
            self._shut()
            raise
        address = Address("adb", self._device.serial)
        super().__init__(address, AdbLine(address, client), cache)

    def count(self, argv: Sequence[str], *, folder: str, timeout: float) -> tuple[Completed, tuple[Mark, ...]]:
        """See `edgekit_runtimes.native.marks.CountingTransport`."""
        path = f"{folder}/marks"
        done = self.run(argv, folder=folder, environment={MARKS: path}, timeout=timeout)
        if done.exit_code:
            return done, ()
        with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
            here = Path(name) / "marks"
            self.pull(path, here)
            return done, marks.read(here.read_text(encoding="ascii", errors="replace"))

    def close(self) -> None:
        """See `edgekit.devices.Device`."""
        super().close()
        self._shut()

    def _shut(self) -> None:
        if self._device is not None:
            _adb(self._client, "disconnect", self._device.serial, check=False)
            self._device.unplug()
            self._device.shell.kill()
            self._device = None
        shutil.rmtree(self._folder, ignore_errors=True)


def arm64(root: Path, cpu: str = CPU) -> LoopbackDevice:
    """A device whose programs run under QEMU; what it says of its processor is the emulated one's.

    Raises:
        DeviceUnavailable: QEMU or a package for it is missing.
    """
    emulator = QemuUsers().open(Address("qemu", cpu))
    assert isinstance(emulator, QemuUser)
    system = sysroot(cpu).path
    machine = emulator.machine()
    return LoopbackDevice(
        root,
        launchers={ARCHITECTURE: _launcher(emulator.command([], counter=Path(MARKS)))},
        places={"/proc/cpuinfo": system / "proc" / "cpuinfo", "/sys/devices/system/cpu": system / "sys/devices/system/cpu"},
        programs={"uname": f"Linux\nemulated\n{ARCHITECTURE}", "nproc": "1"},
        properties={
            "ro.product.cpu.abi": "arm64-v8a",
            "ro.product.model": f"loopback arm64, {PROCESSORS[cpu].board}",
            "ro.edgekit.emulator": str(machine.emulator),
        },
    )


def _launcher(command: Sequence[str]) -> str:
    """Shell text: the emulator; and where `MARKS` is set also the counter, and none of our variables.

    Args:
        command: ``env -i EMULATOR -plugin COUNTER,out=EDGEKIT_MARKS …`` as `QemuUser.command` makes it.
    """
    words = list(command)
    at = words.index("-plugin")
    counter = f'"{words[at + 1].removesuffix(MARKS)}${MARKS}"'
    rest = " ".join(shlex.quote(word) for word in words[at + 2 :])
    return f"${{{MARKS}:+env -i}} {shlex.quote(words[at - 1])} ${{{MARKS}:+-plugin {counter}}} {rest}"


def _adb(client: str, *arguments: str, check: bool = True) -> None:
    try:
        done = subprocess.run([client, *arguments], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        raise DeviceUnavailable("adb does not answer", next_step="adb kill-server, then again") from None
    said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
    if check and "connected" not in said:
        raise DeviceFailed(f"adb does not connect to the emulated device: {said}", next_step="adb kill-server, then again")
