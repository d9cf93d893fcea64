"""Microcontroller boards, emulated: by QEMU, or by Unicorn where that is all there is. Instructions are counted; time means nothing.

The serial line, the frames on it and the firmware that answers are those of a real board (`edgekit_runtimes.transports.serial`).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path

from edgekit.devices import Address, Board, DeviceState, Found, Machine
from edgekit.errors import DeviceUnavailable, UsageError
from edgekit.plugins import require
from edgekit_runtimes import _debian
from edgekit_runtimes.micro.boards import BOARDS, COMPILER, PACKAGE, EmulatedBoard
from edgekit_runtimes.micro.marks import Mark
from edgekit_runtimes.micro.qemu_board import PROGRAM, QemuBoard, execute
from edgekit_runtimes.micro.unicorn_board import UnicornBoard
from edgekit_runtimes.transports._qemu import Qemu, qemu

CHOICE = "EDGEKIT_CORTEX_M_EMULATOR"
"""``qemu`` or ``unicorn``: which emulator to take; by default QEMU, and Unicorn where QEMU is not installed."""


class EmulatedMicrocontroller:
    """A board. edgekit's firmware is put on it when it is first spoken to."""

    def __init__(self, address: Address, board: EmulatedBoard, emulator: Qemu | None) -> None:
        """`emulator` is QEMU, or None for Unicorn."""
        self._address, self._board, self._qemu = address, board, emulator
        self._running: QemuBoard | UnicornBoard | None = None

    @property
    def address(self) -> Address:
        """See `edgekit.devices.Device`."""
        return self._address

    def machine(self) -> Machine:
        """See `edgekit.devices.Device`."""
        name = str(self._qemu or f"unicorn {importlib.metadata.version('unicorn')}")
        return Machine(
            cpu=self._board.cpu,
            architecture=self._board.architecture,
            cores=1,
            threads=1,
            memory_bytes=self._board.ram_bytes,
            system="none",
            virtual=True,
            model=f"emulated board, {self._board.title}",
            emulator=f"{name}, {self._board.cpu}",
        )

    def state(self) -> DeviceState:
        """Nothing that says anything about a device."""
        return DeviceState(at=time.monotonic())

    def exchange(self, message: bytes, *, timeout: float = 10.0) -> bytes:
        """See `edgekit.devices.Board`. Emulated boards and busy machines are slow: they get six times as long."""
        return self._started().exchange(message, timeout=6 * timeout)

    def marks(self) -> tuple[Mark, ...]:
        """See `edgekit_runtimes.micro.marks.CountingBoard`."""
        return self._started().marks()

    def execute(self, image: Path, *, timeout: float) -> tuple[tuple[Mark, ...], bytes]:
        """See `edgekit_runtimes.micro.marks.ImageBoard`."""
        if self._qemu is None:
            raise UsageError("Unicorn runs edgekit's own firmware only", next_step=_debian.install_line(PROGRAM))
        return execute(self._board, image, self._qemu, timeout)

    def close(self) -> None:
        """See `edgekit.devices.Device`."""
        if self._running is not None:
            self._running.close()

    def _started(self) -> QemuBoard | UnicornBoard:
        if self._running is None:
            firmware = self._board.firmware()
            self._running = QemuBoard(self._board, firmware, self._qemu) if self._qemu else UnicornBoard(self._board, firmware)
        return self._running


class EmulatedMicrocontrollers:
    """The plug-in."""

    name = "qemu_system"
    exclusive = False

    def find(self) -> Iterator[Found]:
        """Every core that can be emulated, or what is missing for it."""
        for cpu, board in BOARDS.items():
            missing, advice = _missing(board)
            yield Found(f"qemu:{cpu}", f"emulated microcontroller, {board.title}", missing is None, True, missing, advice)

    def open(self, address: Address) -> Board:
        """See `edgekit.devices.Transports`."""
        if address.place not in BOARDS:
            raise UsageError(f"no emulated microcontroller is called {str(address)!r}", accepted=[f"qemu:{cpu}" for cpu in BOARDS])
        board = BOARDS[address.place]
        return EmulatedMicrocontroller(address, board, _emulator(board))


def _emulator(board: EmulatedBoard) -> Qemu | None:
    """QEMU, or None for Unicorn."""
    chosen = os.environ.get(CHOICE) or ("qemu" if _debian.find(PROGRAM) or board.unicorn is None or not _has_unicorn() else "unicorn")
    if chosen not in ("qemu", "unicorn"):
        raise UsageError(f"{CHOICE} is {chosen!r}", accepted=["qemu", "unicorn"])
    if chosen == "qemu":
        return qemu(PROGRAM, PROGRAM)
    if board.unicorn is None:
        raise DeviceUnavailable(f"Unicorn has no {board.cpu}", next_step=_debian.install_line(PROGRAM))
    require("unicorn", "microcontrollers")
    require("elftools", "microcontrollers")
    return None


def _has_unicorn() -> bool:
    return importlib.util.find_spec("unicorn") is not None and importlib.util.find_spec("elftools") is not None


def _missing(board: EmulatedBoard) -> tuple[str | None, str | None]:
    if _debian.find(COMPILER) is None:
        return f"the package {PACKAGE} is not installed", _debian.install_line(PACKAGE)
    if _debian.find(PROGRAM) is None:
        if board.unicorn and _has_unicorn():
            return None, None
        return f"the package {PROGRAM} is not installed", _debian.install_line(PROGRAM)
    try:
        qemu(PROGRAM, PROGRAM)
    except DeviceUnavailable as unavailable:
        return unavailable.message, unavailable.next_step
    return None, None


TRANSPORT = EmulatedMicrocontrollers()
