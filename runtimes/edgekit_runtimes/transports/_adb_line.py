"""A `Line` through the adb client: one client process a call."""

from __future__ import annotations

from pathlib import Path

from edgekit.devices import MAX_OUTPUT, Address
from edgekit.errors import DeviceFailed, DeviceLost
from edgekit_runtimes.transports._line import Clients, Output
from edgekit_runtimes.transports._posix import refuse_if_full

_GONE = (
    b"not found",
    b"device offline",
    b"no devices",
    b"closed",
    b"connect failed",
    b"cannot connect",
    b"protocol fault",
    b"Connection reset",
)


class AdbLine:
    """Talks to one device by its serial."""

    def __init__(self, address: Address, program: str) -> None:
        self._address, self._program, self._clients = address, program, Clients(address)

    def execute(self, script: str, *, timeout: float, limit: int = MAX_OUTPUT) -> Output:
        """See `Line`. ``-T``: no terminal, so that bytes stay as they are and both streams stay apart."""
        return self._call(["shell", "-T", script], timeout, limit)

    def send(self, file: Path, path: str, *, timeout: float) -> None:
        """See `Line`."""
        done = self._call(["push", "--", str(file.resolve()), path], timeout, MAX_OUTPUT)
        if done.client_code:
            said = done.stderr + done.stdout
            refuse_if_full(said, self._address)
            words = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            if any(word in said for word in _GONE):
                raise DeviceLost(f"{self._address} went away while it took {file.name}: {words}", next_step="edgekit devices")
            raise DeviceFailed(f"{self._address} did not take {file.name}: {words}")

    def interrupt(self) -> None:
        """See `Line`."""
        self._clients.interrupt()

    def close(self) -> None:
        """See `Line`."""
        self._clients.close()

    def _call(self, arguments: list[str], timeout: float, limit: int) -> Output:
        return self._clients.run([self._program, "-s", self._address.place, *arguments], timeout=timeout, limit=limit)
