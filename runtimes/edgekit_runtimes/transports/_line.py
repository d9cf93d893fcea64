"""A line to a device's shell: all that `PosixTransport` needs to know of adb, ssh or this machine."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from edgekit.devices import MAX_OUTPUT, Address
from edgekit.errors import DeviceFailed, DeviceLost


@dataclass(frozen=True)
class Output:
    """What came out of a script: its two streams, and the exit code the transport's own client gave, which is worth little."""

    stdout: bytes
    stderr: bytes
    client_code: int | None = None


class Line(Protocol):
    """Runs scripts, sends files. Both may be called from several threads.

    Each raises `DeviceLost` (or `DeviceUnavailable`, before it was ever reached) if the device does not answer.
    """

    def execute(self, script: str, *, timeout: float, limit: int = MAX_OUTPUT) -> Output:
        """Run ``sh -c script``, its standard input open until it ends, in a process group of its own.

        Raises:
            TimeoutError: It did not end in time; its standard input was closed.
            DeviceFailed: It printed more than `limit` bytes; likewise.
        """

    def send(self, file: Path, path: str, *, timeout: float) -> None:
        """Write a file there. Raises `DeviceFull`."""

    def interrupt(self) -> None:
        """Close every standard input, from another thread: what runs there ends. Never raises."""

    def close(self) -> None:
        """The same, and let go of the line. Never raises."""


def talk(process: subprocess.Popen[bytes], *, timeout: float, limit: int) -> tuple[bytes, bytes]:
    """Read a client process to its end, at most `limit` bytes of each stream.

    Raises:
        TimeoutError: It did not end in time, and was killed.
        DeviceFailed: It printed more, and was killed.
    """
    assert process.stdout is not None and process.stderr is not None
    streams = [_Reader(process.stdout, limit, process), _Reader(process.stderr, limit, process)]
    try:
        process.wait(timeout)
        for reader in streams:
            reader.join(timeout)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    finally:
        end(process)
        for reader in streams:
            reader.join(10)
    if any(reader.overflowed for reader in streams):
        raise DeviceFailed(f"the program printed more than {limit} bytes", next_step="is it the right program?")
    return bytes(streams[0].data), bytes(streams[1].data)


class Clients:
    """Client programs that run now, of one line; several threads may start them.

    Args:
        address: The device's name.
    """

    def __init__(self, address: Address) -> None:
        self._address, self._closed = address, False
        self._lock, self._running = threading.Lock(), set[subprocess.Popen[bytes]]()

    def run(self, argv: Sequence[str], *, timeout: float, limit: int) -> Output:
        """Run one to its end.

        Raises:
            TimeoutError: It did not end in time, and was killed.
            DeviceFailed: It printed more than `limit` bytes, and was killed.
            DeviceLost: The line was closed.
        """
        with self._lock:
            if self._closed:
                raise DeviceLost(f"{self._address} was let go")
            process = client(argv)
            self._running.add(process)
        try:
            out, err = talk(process, timeout=timeout, limit=limit)
        finally:
            with self._lock:
                self._running.discard(process)
        return Output(out, err, process.returncode)

    def interrupt(self) -> None:
        """End all. Never raises."""
        with self._lock:
            running = list(self._running)
        for process in running:
            end(process)

    def close(self) -> None:
        """End all, and start none any more. Never raises."""
        with self._lock:
            self._closed = True
        self.interrupt()


def end(process: subprocess.Popen[bytes]) -> None:
    """Close its standard input, which ends what it started on the device, and kill it."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    if process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.3)  # time for the other side to see the end of its input
    if process.poll() is None:
        process.kill()
    process.wait()


class _Reader(threading.Thread):
    """Reads a stream into memory; kills the process when it is too much."""

    def __init__(self, stream: IO[bytes], limit: int, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self.data, self.overflowed = bytearray(), False
        self._stream, self._limit, self._process = stream, limit, process
        self.start()

    def run(self) -> None:
        """Until the end, or one chunk too many."""
        with self._stream:
            while chunk := self._stream.read1(65536):  # type: ignore[attr-defined]
                self.data += chunk
                if len(self.data) > self._limit:
                    self.overflowed = True
                    self._process.kill()
                    return


def client(argv: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
    """Start a client program with all three streams ours, out of reach of the terminal's Ctrl-C."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(list(argv), start_new_session=True, **{**streams, **options})  # type: ignore[call-overload,no-any-return]
