"""This machine as a device: the shell here, nothing copied."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shutil import copyfile

from edgekit.devices import MAX_OUTPUT, Address, DeviceState, Found, Machine, Transport
from edgekit.devices.host import device_state, machine
from edgekit.errors import DeviceUnavailable, UsageError
from edgekit_runtimes.transports._elf import require_architecture
from edgekit_runtimes.transports._line import Clients, Output
from edgekit_runtimes.transports._posix import PosixTransport, refuse_if_full


class HostLine:
    """A `edgekit_runtimes.transports._line.Line` to ``/bin/sh`` here."""

    def __init__(self, address: Address) -> None:
        self._address, self._clients = address, Clients(address)

    def execute(self, script: str, *, timeout: float, limit: int = MAX_OUTPUT) -> Output:
        """See `Line`."""
        return self._clients.run(["/bin/sh", "-c", script], timeout=timeout, limit=limit)

    def send(self, file: Path, path: str, *, timeout: float) -> None:
        """See `Line`."""
        try:
            copyfile(file, path)
        except OSError as error:
            refuse_if_full(str(error).encode(), self._address)
            raise UsageError(f"cannot write {path}: {error.strerror}") from None

    def interrupt(self) -> None:
        """See `Line`."""
        self._clients.interrupt()

    def close(self) -> None:
        """See `Line`."""
        self._clients.close()


class Host(PosixTransport):
    """Files are used where they are; scratch folders are among this machine's temporary ones, each user's in a folder of its own."""

    def __init__(self, address: Address) -> None:
        own = f"edgekit-{os.getuid()}-{os.getpid()}-{secrets.token_hex(4)}"  # shared, one that cleans would remove what another runs in
        super().__init__(address, HostLine(address), str(Path(tempfile.gettempdir()) / own))

    def machine(self) -> Machine:
        """See `edgekit.devices.Device`."""
        return machine()

    def state(self) -> DeviceState:
        """See `edgekit.devices.Device`."""
        return device_state()

    def push(self, file: Path, *, executable: bool = False) -> str:
        """The file's own path; see `edgekit.devices.Transport`."""
        if executable:
            require_architecture(file, self.machine().architecture)
        return str(file.resolve())

    def close(self) -> None:
        """See `edgekit.devices.Device`."""
        super().close()
        with suppress(OSError):  # nothing was run, or something is left in it that nobody may remove
            Path(self.cache).rmdir()


class Hosts:
    """The plug-in."""

    name = "host"
    exclusive = False

    def find(self) -> Iterator[Found]:
        """Always there."""
        here = machine()
        yield Found("host", f"{here.cpu}, {here.system}")

    def open(self, address: Address) -> Transport:
        """See `edgekit.devices.Transports`."""
        if os.name != "posix":
            raise DeviceUnavailable("programs are run here through a POSIX shell, which this machine lacks", next_step="use Linux or macOS")
        return Host(address)


TRANSPORT = Hosts()
