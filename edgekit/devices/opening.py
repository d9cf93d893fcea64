"""Reaching devices by name, and listing those there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from edgekit import plugins
from edgekit.devices.address import SCHEMES, Address
from edgekit.devices.locking import exclusively
from edgekit.devices.transport import Board, Found, Transport, Transports


@contextmanager
def opened(name: str | Address) -> Iterator[Transport | Board]:
    """Yield the device of that name; it is let go when the block ends.

    Raises:
        UsageError: No device can have that name.
        DeviceUnavailable: It cannot be reached, or somebody else measures on it.
    """
    address = name if isinstance(name, Address) else Address.parse(name, schemes())
    kind: Transports = plugins.load("transports", address.transport)
    device = kind.open(address)
    try:
        with exclusively(device.address) if kind.exclusive else nullcontext():
            yield device
    finally:
        device.close()


def schemes() -> tuple[str, ...]:
    """What an address may begin with: the built-in schemes, and the names of registered transports."""
    return tuple(sorted({*SCHEMES, *(name for name in plugins.names("transports") if not name.startswith("qemu_"))}))


def find() -> Iterator[Found]:
    """Every device that is attached or can be emulated, with what is missing; those of one transport together."""
    for name in plugins.names("transports"):
        kind: Transports = plugins.load("transports", name)
        yield from kind.find()
