"""Devices: a transport to them, and facts about them. `opened` reaches one by the name a user writes after ``--on``."""

from edgekit.devices.address import Address, SshPlace
from edgekit.devices.machine import DeviceState, Machine
from edgekit.devices.opening import find, opened
from edgekit.devices.transport import MAX_OUTPUT, Board, Completed, Device, DeviceRuntime, Found, Transport, Transports

__all__ = [
    "MAX_OUTPUT",
    "Address",
    "Board",
    "Completed",
    "Device",
    "DeviceRuntime",
    "DeviceState",
    "Found",
    "Machine",
    "SshPlace",
    "Transport",
    "Transports",
    "find",
    "opened",
]
