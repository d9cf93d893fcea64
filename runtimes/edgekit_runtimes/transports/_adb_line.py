"""A `Line` through the adb client: one client process a call."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from edgekit.devices import MAX_OUTPUT, Address
from edgekit.errors import DeviceFailed, DeviceLost
from edgekit_runtimes.transports._line import Output, client, end, talk
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
        self._address, self._program = address, program
        self._lock, self._running, self._closed = threading.Lock(), set[subprocess.Popen[bytes]](), False

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
        with self._lock:
            running = list(self._running)
        for process in running:
            end(process)

    def close(self) -> None:
        """See `Line`."""
        with self._lock:
            self._closed = True
        self.interrupt()

    def _call(self, arguments: list[str], timeout: float, limit: int) -> Output:
        with self._lock:
            if self._closed:
                raise DeviceLost(f"{self._address} was let go")
            process = client([self._program, "-s", self._address.place, *arguments])
            self._running.add(process)
        try:
            out, err = talk(process, timeout=timeout, limit=limit)
        finally:
            with self._lock:
                self._running.discard(process)
        return Output(out, err, process.returncode)
