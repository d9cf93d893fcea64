"""Microcontrollers on a serial line (USB or UART), by pyserial."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from importlib.util import find_spec

from edgekit.devices import Address, Board, Found
from edgekit.errors import DeviceUnavailable, UsageError
from edgekit.plugins import require
from edgekit_runtimes.transports._board import FramedBoard

BAUD = 115_200
_REASONS = {
    errno.ENOENT: ("it is not there", "plug it in, then: edgekit devices"),
    errno.EACCES: ("we may not open it", "sudo usermod -aG dialout $USER, then log in again"),
    errno.EBUSY: ("another program has it open", "close the serial monitor"),
}


class Serial:
    """The plug-in."""

    name = "serial"
    exclusive = True

    def find(self) -> Iterator[Found]:
        """Ports with something at the other end: USB adapters and boards, not the machine's own empty connectors."""
        if find_spec("serial") is None:
            lacking, advice = "the package pyserial is not installed", "pip install 'edgekit[devices]'"
            yield Found("serial", "microcontrollers", False, missing=lacking, next_step=advice)
            return
        from serial.tools import list_ports  # noqa: PLC0415

        ports = [port for port in list_ports.comports() if port.vid is not None]
        for port in ports:
            yield Found(f"serial:{port.device}", f"{port.description}; usable if edgekit's firmware is on it")
        if not ports:
            yield Found("serial", "microcontrollers", False, missing="there is no USB serial port", next_step="plug the board in")

    def open(self, address: Address) -> Board:
        """See `edgekit.devices.Transports`."""
        require("serial", "devices")
        import serial  # noqa: PLC0415

        path, _, baud = address.place.partition("@")
        if baud and not baud.isdecimal():
            raise UsageError(f"{address} has no baud rate", accepted="serial:DEVICE[@BAUD], for example serial:/dev/ttyACM0@921600")
        try:
            port = serial.serial_for_url(path, int(baud or BAUD), exclusive=True) if "://" not in path else serial.serial_for_url(path)
        except (OSError, ValueError) as error:
            reason, advice = _REASONS.get(getattr(error, "errno", None) or 0, (str(error), "edgekit devices"))
            raise DeviceUnavailable(f"{address} cannot be opened: {reason}", next_step=advice) from None
        return FramedBoard(address, port)


TRANSPORT = Serial()
