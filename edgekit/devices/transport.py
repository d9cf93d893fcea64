"""What every transport promises. Engine × transport: an engine knows how to run a format, a transport how to reach a device.

A device with an operating system is a `Transport`: files go there, programs run there. A microcontroller is a `Board`: one firmware,
and a line of bytes to it. Both know the facts about the device. A transport knows nothing of models, an engine nothing of wires:
``engine.on(transport)`` gives a runtime like any other, so that verifying and profiling do not know where they run.

A module of ``edgekit_runtimes.transports`` exports one `Transports` as ``TRANSPORT``; third parties register theirs under the entry-point
group ``edgekit.transports``.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgekit.devices.address import Address
from edgekit.devices.machine import DeviceState, Machine
from edgekit.errors import DeviceFailed
from edgekit.plugins import Runtime

MAX_OUTPUT = 64 * 2**20
"""Bytes a program on a device may print, and bytes a pulled file may have unless told otherwise: devices are not trusted."""


@dataclass(frozen=True)
class Completed:
    """A program that ended.

    Attributes:
        argv: What was run.
        exit_code: 0 to 255; a program ended by signal n has 128 + n, as shells report it.
        stdout: What it printed.
        stderr: What it complained.
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def reason(self) -> str:
        """How it ended, for people: ``SIGSEGV`` or ``exit code 1``, and its last words."""
        signals = {int(s): s.name for s in signal.Signals}
        how = signals.get(self.exit_code - 128, f"exit code {self.exit_code}")
        words = (self.stderr or self.stdout).decode("utf-8", "replace").strip().splitlines()
        return f"{how} ({words[-1][:300]})" if words else how

    def require(self, what: str) -> Completed:
        """Return itself if the program ended well.

        Raises:
            DeviceFailed: `what` and how it ended.
        """
        if self.exit_code:
            raise DeviceFailed(f"{what} failed on the device: {self.reason}")
        return self


class Device(Protocol):
    """What a transport of any kind can tell and promises."""

    @property
    def address(self) -> Address:
        """Its name, with what an abbreviation left out: ``adb`` alone becomes ``adb:SERIAL``."""

    def machine(self) -> Machine:
        """What the device is. Asked once and kept.

        Raises:
            DeviceUnavailable: It cannot be reached.
        """

    def state(self) -> DeviceState:
        """The state it is in now."""

    def close(self) -> None:
        """Let go of it: end what still runs there for us, remove scratch folders, release the lock. Never raises."""


class Transport(Device, Protocol):
    """A device with files and processes. Paths on it are POSIX strings; arguments are lists and reach the program as they are.

    Any method raises `DeviceUnavailable` if the device cannot be reached, and `DeviceLost` if it goes away during the call.
    """

    def push(self, file: Path, *, executable: bool = False) -> str:
        """Put a file into the device's cache, named by its content; nothing is sent that is there already.

        Args:
            file: Here.
            executable: Whether it is a program.

        Returns:
            Its path there: ``<cache>/<sha256>/<file.name>``.

        Raises:
            DeviceFull: No room.
        """

    def scratch(self) -> AbstractContextManager[str]:
        """A new empty folder on the device for the block; it is removed after it, whatever happens."""

    def put(self, file: Path, path: str) -> None:
        """Send a file to a path in a `scratch` folder. Raises `DeviceFull`."""

    def pull(self, path: str, file: Path, *, limit: int = MAX_OUTPUT) -> None:
        """Fetch a file.

        Raises:
            DeviceFailed: It is not there, or longer than `limit` bytes.
        """

    def run(
        self, argv: Sequence[str], *, folder: str | None = None, environment: Mapping[str, str] | None = None, timeout: float = 60.0
    ) -> Completed:
        """Run a program to its end. It reads nothing from standard input.

        Args:
            argv: Program, by path or by name to be looked up there, and arguments. No shell interprets them.
            folder: To run it in.
            environment: Variables to set for it.
            timeout: Seconds after which it is killed, with all it started.

        Raises:
            DeviceFailed: It hung, could not be started (not there, wrong architecture) or printed more than `MAX_OUTPUT`.
        """

    def cached_bytes(self) -> int:
        """Size of the cache folder on the device."""

    def clean(self) -> int:
        """Remove the cache folder: all that edgekit leaves on a device. Returns the bytes freed."""


class Board(Device, Protocol):
    """A microcontroller: a firmware that answers messages. `edgekit.devices.framing` makes messages of a line of bytes."""

    def exchange(self, message: bytes, *, timeout: float = 10.0) -> bytes:
        """Send a message, return the answer.

        Raises:
            DeviceFailed: No answer in time, or garbage.
            DeviceLost: The line is gone.
        """


@dataclass(frozen=True)
class Found:
    """A device that is attached or can be emulated, as `edgekit devices` lists it.

    Attributes:
        address: What to write after ``--on``.
        description: What it is, in a few words.
        ready: Whether it can be used now.
        emulated: Whether it is an emulator.
        missing: What it lacks, if not ready, as a clause: ``no device is attached``.
        next_step: The command, or what else, that gives it that.
    """

    address: str
    description: str
    ready: bool = True
    emulated: bool = False
    missing: str | None = None
    next_step: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All attributes."""
        return dict(vars(self))


class Transports(Protocol):
    """One kind of transport: the plug-in.

    Attributes:
        name: Of the module, and of the scheme.
        exclusive: Whether one user at a time may have a device of the kind, because two would disturb each other's times.
    """

    name: str
    exclusive: bool

    def find(self) -> Iterator[Found]:
        """What is attached or can be emulated, or what is missing for that. Quick, and contacts no network but adb's own server."""

    def open(self, address: Address) -> Transport | Board:
        """Reach a device.

        Raises:
            DeviceUnavailable: It is not there, refuses us, or something is missing here; `next_step` is what to do.
        """


class DeviceRuntime(Runtime, Protocol):
    """A runtime (an *engine*) that also runs on other devices."""

    def refusal(self, machine: Machine) -> str | None:
        """Why it cannot run on such a machine, or None if it can."""

    def on(self, device: Transport | Board) -> Runtime:
        """The same runtime, there: an `edgekit.timing.TimedRuntime`, or an `edgekit.counting.CountedRuntime` for an emulator.

        It says which runner measures in its `version`.
        """
