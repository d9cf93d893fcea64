"""A device that a test writes, and an engine that runs there: no wire, no process, no clock but the test's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from edgekit import plugins
from edgekit.devices import Address, DeviceState, Found, Machine
from edgekit.testing.scripted_runtime import ScriptedRuntime

MACHINE = Machine("Cortex-A76", "aarch64", 4, 4, 4 * 10**9, "Scripted OS 1", False, model="Board")


@dataclass
class ScriptedDevice:
    """A device.

    Attributes:
        address: Its name.
        states: What `state` answers, one after the other; the last again and again.
        closed: How often it was let go.
    """

    address: Address
    states: Sequence[DeviceState | BaseException] = (DeviceState(at=1.0),)
    closed: int = 0
    asked: int = 0
    on_close: Callable[[], None] = lambda: None

    def machine(self) -> Machine:
        """An arm64 board."""
        return MACHINE

    def state(self) -> DeviceState:
        """The next one."""
        answer = self.states[min(self.asked, len(self.states) - 1)]
        self.asked += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """Count."""
        self.closed += 1
        self.on_close()


@dataclass
class ScriptedEngine(ScriptedRuntime):
    """A `ScriptedRuntime` that runs on scripted devices.

    Attributes:
        by_device: The runtime on each, by address.
    """

    by_device: Mapping[str, Any] = field(default_factory=dict)

    def refusal(self, machine: Machine) -> str | None:
        """Never refuses."""
        return None

    def on(self, device: ScriptedDevice) -> Any:
        """Its runtime there."""
        return self.by_device.get(str(device.address), self)


@dataclass
class ScriptedTransports:
    """Opens the devices it is given.

    Attributes:
        known: By place: a device, or what opening it raises.
    """

    known: Mapping[str, ScriptedDevice | BaseException]
    name: str = "ssh"
    exclusive: bool = True

    def find(self) -> Iterator[Found]:
        """All of them."""
        yield from (Found(f"ssh:{place}", "scripted") for place in self.known)

    def open(self, address: Address) -> ScriptedDevice:
        """The device of that place."""
        found = self.known[address.place]
        if isinstance(found, BaseException):
            raise found
        return found


@contextmanager
def scripted(known: Mapping[str, ScriptedDevice | BaseException]) -> Iterator[None]:
    """Make ``ssh:PLACE`` mean these devices for the block."""
    original = plugins.load

    def load(kind: str, name: str) -> Any:
        return ScriptedTransports(known) if (kind, name) == ("transports", "ssh") else original(kind, name)

    plugins.load = load
    try:
        yield
    finally:
        plugins.load = original
