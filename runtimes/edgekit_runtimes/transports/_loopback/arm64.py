"""``adb:loopback``: the emulated Android device with an arm64 processor, started when it is opened, gone when it is closed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgekit import worker
from edgekit.devices import Address, Completed
from edgekit.errors import DeviceFailed, DeviceUnavailable
from edgekit_runtimes.native import marks
from edgekit_runtimes.native.marks import Mark
from edgekit_runtimes.native.sysroot import PROCESSORS, sysroot
from edgekit_runtimes.transports._adb_line import AdbLine
from edgekit_runtimes.transports._loopback.device import PROGRAMS, LoopbackDevice
from edgekit_runtimes.transports._posix import PosixTransport
from edgekit_runtimes.transports._qemu import qemu
from edgekit_runtimes.transports.qemu_user import ARCHITECTURE, PACKAGE, PROGRAM, QemuUser

CPU = "cortex-a76"
COUNT = "edgekit-count"
"""Program of the device: runs another with its instructions counted, and leaves the marks in a folder."""


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
        done = self.run([f"/{PROGRAMS}/{COUNT}", CPU, folder, *argv], folder=folder, timeout=timeout)
        if done.exit_code:
            return done, ()
        with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
            here = Path(name) / "marks"
            self.pull(f"{folder}/marks", here)
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
    system, emulator = sysroot(cpu).path, qemu(PROGRAM, PACKAGE)
    device = LoopbackDevice(
        root,
        launchers={ARCHITECTURE: shlex.join([emulator.path, "-cpu", cpu, "-L", str(system)])},
        places={"/proc/cpuinfo": system / "proc" / "cpuinfo", "/sys/devices/system/cpu": system / "sys/devices/system/cpu"},
        programs={"uname": f"Linux\nemulated\n{ARCHITECTURE}", "nproc": "1"},
        properties={
            "ro.build.version.release": "15",
            "ro.product.cpu.abi": "arm64-v8a",
            "ro.product.model": f"loopback arm64, {PROCESSORS[cpu].board}",
            "ro.edgekit.emulator": f"{emulator}, {cpu}",
        },
    )
    counter = root / PROGRAMS / COUNT
    command = shlex.join(["env", f"PYTHONPATH={worker.surroundings()['PYTHONPATH']}", *worker.python(__name__)])
    counter.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    counter.chmod(0o755)
    return device


def _adb(client: str, *arguments: str, check: bool = True) -> None:
    try:
        done = subprocess.run([client, *arguments], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        raise DeviceUnavailable("adb does not answer", next_step="adb kill-server, then again") from None
    said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
    if check and "connected" not in said:
        raise DeviceFailed(f"adb does not connect to the emulated device: {said}", next_step="adb kill-server, then again")


def _count(cpu: str, folder: str, *argv: str) -> int:
    """What `COUNT` does, on the device."""
    board = QemuUser(Address("qemu", cpu), qemu(PROGRAM, PACKAGE), sysroot(cpu))
    try:
        done, _ = board.count(argv, folder=folder, timeout=3600)
    finally:
        board.close()
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    return done.exit_code


if __name__ == "__main__":
    raise SystemExit(_count(*sys.argv[1:]))
