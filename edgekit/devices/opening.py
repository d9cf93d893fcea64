"""Reaching devices by name, and listing those there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgekit import plugins
from edgekit.devices.address import Address
from edgekit.devices.transport import Board, Found, Transport, Transports


@contextmanager
def opened(name: str | Address) -> Iterator[Transport | Board]:
    """Yield the device of that name; it is let go when the block ends.

    Raises:
        UsageError: No device can have that name.
        DeviceUnavailable: It cannot be reached.
    """
    address = name if isinstance(name, Address) else Address.parse(name)
    kind: Transports = plugins.load("transports", address.transport)
    device = kind.open(address)
    try:
        yield device
    finally:
        device.close()


def find() -> Iterator[Found]:
    """Every device that is attached or can be emulated, with what is missing; those of one transport together."""
    for name in plugins.names("transports"):
        kind: Transports = plugins.load("transports", name)
        yield from kind.find()
