"""How a user names a device: ``SCHEME`` or ``SCHEME:PLACE``.

host                 this machine (also: local)
adb:0A171JECB12345   an Android device by its serial; adb alone is the only one attached
ssh:pi@board:2222    a board, by user, host and port
serial:/dev/ttyACM0  a microcontroller that runs edgekit's firmware
qemu:cortex-a76      a Linux board emulated here, or, from cortex-m0 to cortex-m85, a microcontroller

What each can do is in `edgekit.devices.transport`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.errors import UsageError

FORMS = ("host", "adb", "adb:SERIAL", "ssh:[USER@]HOST[:PORT]", "serial:DEVICE[@BAUD]", "qemu:CPU")
SCHEMES = ("host", "adb", "ssh", "serial", "qemu")
_PLACE = re.compile(r"[\w.@:/\\+\[\]%~-]+")
_NEEDS_PLACE = ("ssh", "serial", "qemu")


@dataclass(frozen=True)
class Address:
    """A device's name, taken apart.

    Attributes:
        scheme: ``host``, ``adb``, ``ssh``, ``serial`` or ``qemu``, or the name of a registered transport.
        place: Where, in the scheme's own terms; empty for the only one there is.
    """

    scheme: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}:{self.place}" if self.place else self.scheme

    @property
    def transport(self) -> str:
        """Name of the transport plug-in that reaches it."""
        if self.scheme == "qemu":
            return "qemu_system" if self.place.startswith("cortex-m") else "qemu_user"
        return self.scheme

    @classmethod
    def parse(cls, text: str, schemes: tuple[str, ...] = SCHEMES) -> Address:
        """Read what a user wrote.

        Raises:
            UsageError: No such scheme, or a place that cannot be one.
        """
        scheme, colon, place = text.strip().partition(":")
        scheme = "host" if scheme == "local" else scheme
        if scheme not in schemes:
            raise UsageError(f"no device is called {text!r}", accepted=FORMS, next_step="edgekit devices lists what is there")
        if (colon or scheme in _NEEDS_PLACE) and (not _PLACE.fullmatch(place) or place.startswith("-")):
            raise UsageError(f"{text!r} does not say which device", accepted=[f for f in FORMS if f.startswith(scheme)])
        if scheme == "host" and place:
            raise UsageError(f"{text!r} names more than this machine", accepted="host")
        return cls(scheme, place)


@dataclass(frozen=True)
class SshPlace:
    """The parts of an ssh address; None is left to the user's ssh configuration.

    Attributes:
        host: Name or IP address.
        user: To log in as.
        port: Of the server.
    """

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, place: str) -> SshPlace:
        """Read ``[user@]host[:port]``; an IPv6 address stands in brackets.

        Raises:
            UsageError: It is none.
        """
        found = re.fullmatch(r"(?:([\w.+-]+)@)?(\[[0-9A-Fa-f:%\w.]+\]|[\w.-]+)(?::(\d{1,5}))?", place)
        if found is None or (found[3] and not 0 < int(found[3]) < 65536) or found[2].startswith("-"):
            raise UsageError(f"ssh:{place} names no host", accepted="ssh:[USER@]HOST[:PORT]")
        return cls(found[2].strip("[]"), found[1], int(found[3]) if found[3] else None)
