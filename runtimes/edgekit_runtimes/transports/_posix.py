"""A device with a POSIX shell, whatever line leads to it: files by digest, programs under a dead man's switch, facts."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from edgekit.devices import MAX_OUTPUT, Address, Completed, DeviceState, Machine
from edgekit.errors import DeviceFailed, DeviceFull, DeviceLost, DeviceUnavailable
from edgekit_runtimes.transports._elf import require_architecture
from edgekit_runtimes.transports._facts import MACHINE_SCRIPT, STATE_SCRIPT, machine_from, state_from
from edgekit_runtimes.transports._line import Line
from edgekit_runtimes.transports._script import Guarded, program, quoted_path

SLOWEST = 100_000
"""Bytes a second below which sending is given up."""


class PosixTransport:
    """Implements `edgekit.devices.Transport` over a `Line`.

    Args:
        address: The device's full name.
        line: To its shell.
        cache: Folder on it that may keep files: an absolute path.
    """

    def __init__(self, address: Address, line: Line, cache: str) -> None:
        self.address, self.cache = address, cache
        self._line, self._pushed = line, dict[tuple[str, str], str]()
        self._scratches, self._lost, self._closed = set[str](), False, False

    def __repr__(self) -> str:
        return f"<{self.address}>"

    def machine(self) -> Machine:
        """See `edgekit.devices.Device`."""
        return self._machine

    @cached_property
    def _machine(self) -> Machine:
        return machine_from(self._ask(MACHINE_SCRIPT, 60.0))

    def state(self) -> DeviceState:
        """See `edgekit.devices.Device`."""
        return state_from(self._ask(STATE_SCRIPT, 30.0))

    def run(
        self, argv: Sequence[str], *, folder: str | None = None, environment: Mapping[str, str] | None = None, timeout: float = 60.0
    ) -> Completed:
        """See `edgekit.devices.Transport`."""
        return self._execute(program(argv, folder, environment), tuple(argv), timeout)

    def push(self, file: Path, *, executable: bool = False) -> str:
        """See `edgekit.devices.Transport`."""
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        name = file.name if re.fullmatch(r"[\w+][\w.+-]*", file.name, re.ASCII) else "file"
        if (digest, name) not in self._pushed:
            if executable:
                require_architecture(file, self.machine().architecture)
            path = f"{self.cache}/{digest}/{name}"
            if not self._holds(path, digest, file.stat().st_size):
                self._deliver(file, path, digest, executable)
            self._pushed[digest, name] = path
        return self._pushed[digest, name]

    def _deliver(self, file: Path, path: str, digest: str, executable: bool) -> None:
        """Send under another name, check what arrived, then rename: an interrupted transfer is never taken for the file."""
        part = f"{path}.part-{secrets.token_hex(4)}"
        self._shell(f"umask 077 && mkdir -p {quoted_path(path.rpartition('/')[0])}")
        try:
            self.put(file, part)
            if not self._holds(part, digest, file.stat().st_size):
                raise DeviceFailed(f"{file.name} arrived damaged on {self.address}", next_step="check the cable and the device's storage")
            self._shell(f"chmod {'700' if executable else '600'} {quoted_path(part)} && mv -f {quoted_path(part)} {quoted_path(path)}")
        except BaseException:
            with suppress(DeviceUnavailable):
                self._shell(f"rm -f {quoted_path(part)}")
            raise

    def _holds(self, path: str, digest: str, size: int) -> bool:
        """Whether a file there has this content; by its size alone where the device cannot compute SHA-256."""
        quoted = quoted_path(path)
        answer = self._shell(f"if [ -f {quoted} ]; then wc -c < {quoted}; sha256sum < {quoted} 2>/dev/null || echo unknown; fi").split()
        return len(answer) >= 2 and answer[0] == str(size) and answer[1] in (digest, "unknown")

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """See `edgekit.devices.Transport`."""
        path = f"{self.cache}/run-{secrets.token_hex(8)}"
        self._shell(f"umask 077 && mkdir -p {quoted_path(path)}")
        self._scratches.add(path)
        try:
            yield path
        finally:
            self._remove(path)

    def _remove(self, path: str) -> None:
        """A folder of ours; on a device that is gone it stays until `clean`."""
        if not self._lost:
            with suppress(DeviceUnavailable):
                self._shell(f"rm -rf {quoted_path(path)}")
        self._scratches.discard(path)

    def put(self, file: Path, path: str) -> None:
        """See `edgekit.devices.Transport`."""
        limit = 60 + file.stat().st_size / SLOWEST
        try:
            self._line.send(file, path, timeout=limit)
        except TimeoutError:
            raise DeviceLost(f"{self.address} took {file.name} slower than {SLOWEST // 1000} kB/s for {limit:.0f} s") from None

    def pull(self, path: str, file: Path, *, limit: int = MAX_OUTPUT) -> None:
        """See `edgekit.devices.Transport`."""
        command = program(["cat", path])
        done = self._execute(command, ("cat", path), 60 + limit / SLOWEST, limit=limit)
        if done.exit_code:
            raise DeviceFailed(f"cannot fetch {path} from {self.address}: {done.reason}")
        file.write_bytes(done.stdout)

    def cached_bytes(self) -> int:
        """See `edgekit.devices.Transport`."""
        answer = self._shell(f"[ ! -d {quoted_path(self.cache)} ] || du -sk {quoted_path(self.cache)}").split()
        return int(answer[0]) * 1024 if answer and answer[0].isdecimal() else 0

    def clean(self) -> int:
        """See `edgekit.devices.Transport`."""
        freed = self.cached_bytes()
        self._shell(f"rm -rf {quoted_path(self.cache)}")
        self._pushed.clear()
        return freed

    def close(self) -> None:
        """See `edgekit.devices.Device`."""
        if self._closed:
            return
        self._closed = True
        self._line.interrupt()
        if not self._lost:  # a device that is gone is not asked again: that would only wait
            for path in list(self._scratches):
                self._remove(path)
        self._line.close()

    def _ask(self, script: str, timeout: float) -> str:
        return self._execute(script, ("sh",), timeout).stdout.decode("utf-8", "replace")

    def _shell(self, command: str) -> str:
        """The output of our own housekeeping.

        Raises:
            DeviceFull: No room.
            DeviceFailed: It failed otherwise.
        """
        done = self._execute(command, ("sh",), 120.0)
        if done.exit_code:
            refuse_if_full(done.stderr, self.address)
            raise DeviceFailed(f"{self.address} refused `{command}`: {done.reason}")
        return done.stdout.decode("utf-8", "replace")

    def _execute(self, command: str, argv: tuple[str, ...], timeout: float, *, limit: int = MAX_OUTPUT) -> Completed:
        guarded = Guarded(command)
        try:
            output = self._line.execute(guarded.script, timeout=timeout, limit=limit)
        except DeviceLost:
            self._lost = True
            raise
        except TimeoutError:
            raise DeviceFailed(f"{_short(argv)} hung on {self.address}: no end within {timeout:.0f} s, so it was killed") from None
        stderr, code = guarded.read(output.stderr)
        if code is None:
            self._lost = self._lost or not self._closed
            words = (stderr or output.stdout).decode("utf-8", "replace").strip().splitlines()
            said = f": {words[-1][:200]}" if words else ""
            raise DeviceLost(f"the connection to {self.address} was lost while {_short(argv)} ran{said}", next_step="edgekit devices")
        return Completed(argv, code, output.stdout, stderr)


def refuse_if_full(stderr: bytes, address: Address) -> None:
    """Raise `DeviceFull` if that is what a program complained of."""
    if b"No space left on device" in stderr or b"Disk quota exceeded" in stderr:
        raise DeviceFull(f"the storage of {address} is full", next_step=f"edgekit devices clean {address}, or remove something else there")


def _short(argv: tuple[str, ...]) -> str:
    return argv[0].rpartition("/")[2]
