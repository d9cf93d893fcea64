"""A microcontroller behind a line of bytes: frames out, frames in. A real serial port and an emulator's socket are the same to it."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from functools import cached_property
from typing import Any

from edgekit.devices import Address, DeviceState, Machine
from edgekit.devices.framing import decode, encode
from edgekit.errors import DeviceFailed, DeviceLost

_INFO = b"i"
_ATTEMPTS = 3


class FramedBoard:
    """Implements `edgekit.devices.Board`.

    Args:
        address: Its name.
        port: An open pyserial port; ``serial.serial_for_url`` also makes one of an emulator's socket.
        emulator: What emulates it, or None for the real thing.
    """

    def __init__(self, address: Address, port: Any, emulator: str | None = None) -> None:
        self.address, self._port, self._emulator = address, port, emulator
        self._lock = threading.Lock()

    def exchange(self, message: bytes, *, timeout: float = 10.0) -> bytes:
        """See `edgekit.devices.Board`."""
        deadline = time.monotonic() + timeout
        with self._lock:
            try:
                self._port.reset_input_buffer()  # what a board says unasked (a boot message, the answer to a question given up) is not ours
                self._port.write_timeout = timeout
                self._port.write(encode(message))
                return decode(lambda count: self._read(count, deadline, timeout))
            except OSError as error:  # pyserial's own exceptions are OSErrors
                raise DeviceLost(f"the line to {self.address} is gone: {error}", next_step="plug it in again") from None

    def _read(self, count: int, deadline: float, timeout: float) -> bytes:
        data = b""
        while len(data) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeviceFailed(
                    f"{self.address} gave no answer within {timeout:g} s",
                    next_step="reset the board; is edgekit's firmware on it, and the baud rate right?",
                )
            self._port.timeout = min(left, 0.5)
            data += self._port.read(count - len(data))
        return data

    def machine(self) -> Machine:
        """See `edgekit.devices.Device`."""
        return self._machine

    @cached_property
    def _machine(self) -> Machine:
        told = self.info()
        clock = told.get("clock_hz", "")
        core = told.get("core") or "unknown"
        return Machine(
            cpu=core,
            architecture=core,
            cores=1,
            threads=1,
            memory_bytes=sum(int(value) for key in ("plan_bytes", "arena_bytes") if (value := told.get(key, "")).isdecimal()),
            system=f"edgekit's firmware {told.get('firmware', '?')}",
            virtual=self._emulator is not None,
            model=told.get("board"),
            clocks_mhz=(int(clock) // 1_000_000,) if clock.isdecimal() and int(clock) >= 1_000_000 else (),
            emulator=self._emulator,
        )

    def info(self) -> dict[str, str]:
        """What the firmware says of itself and its board.

        A board whose boot is in the way of the first question is asked again.

        Raises:
            DeviceFailed: It does not answer like edgekit's firmware.
        """
        for attempt in range(_ATTEMPTS):
            try:
                answer = self.exchange(_INFO, timeout=2.0)
                break
            except DeviceFailed:
                if attempt == _ATTEMPTS - 1:
                    raise
        if answer[:1] != _INFO:
            raise DeviceFailed(f"{self.address} does not run edgekit's firmware", next_step="docs/devices.md says how to flash it")
        return dict(re.findall(r"^(\w+)=(.*)$", answer[1:].decode("ascii", "replace"), re.MULTILINE))

    def state(self) -> DeviceState:
        """A microcontroller tells none."""
        return DeviceState(at=time.monotonic())

    def close(self) -> None:
        """See `edgekit.devices.Device`."""
        with suppress(OSError):
            self._port.close()
