"""One user of a device at a time: two at once would measure each other. The lock is this machine's; it goes when its holder does."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from edgekit.devices.address import Address, SshPlace
from edgekit.errors import DeviceUnavailable

try:
    import fcntl
except ImportError:  # Windows: no locks, so no refusal
    fcntl = None  # type: ignore[assignment]


@contextmanager
def exclusively(address: Address) -> Iterator[None]:
    """Hold the device for the block.

    Raises:
        DeviceUnavailable: Another process, or another thread of this one, holds it.
    """
    if fcntl is None:
        yield
        return
    with _path(address).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(address, file) from None
        _sign(file, f"process {os.getpid()}")
        try:
            yield
        finally:
            with suppress(OSError):
                file.truncate(0)


def _busy(address: Address, file: IO[str]) -> DeviceUnavailable:
    file.seek(0)
    holder = file.read(100).strip() or "another process"
    return DeviceUnavailable(f"{address} is in use by {holder}: two at once would measure each other", next_step="wait for it, or end it")


def _sign(file: IO[str], holder: str) -> None:
    file.seek(0)
    file.truncate(0)
    file.write(holder)
    file.flush()


def _path(address: Address) -> Path:
    """One file a device; they stay, empty, since removing a lock file races with its next holder."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"edgekit-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / hashlib.sha256(_identity(address).encode()).hexdigest()[:32]


def _identity(address: Address) -> str:
    """Who logs in makes no other device."""
    if address.scheme != "ssh":
        return str(address)
    place = SshPlace.parse(address.place)
    return f"ssh:{place.host.lower()}:{place.port or 22}"
