"""What a device is, and the state it is in: the facts a measurement is worth nothing without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Machine:
    """What does not change between measurements. None and empty is what the device does not tell.

    Attributes:
        cpu: Model name.
        architecture: As the kernel says it: ``x86_64``, ``aarch64``.
        cores: Physical cores.
        threads: Logical processors a process may use.
        memory_bytes: Installed.
        system: Operating system and version.
        virtual: Whether a hypervisor or a container limit stands between, or None where that cannot be told.
        model: What its maker calls it (``Pixel 8``, ``Raspberry Pi 5 Model B Rev 1.0``).
        soc: The chip (``Tensor G3``).
        clocks_mhz: Highest clock of each kind of core, fastest first.
        emulator: What emulates it (``qemu-aarch64 7.2.22, cortex-a76``), or None for the real thing. Wall time of an emulated device
            is never a latency.
        versions: Of what is installed there, by name (``python``, ``ai-edge-litert``, ``TensorRT``).
    """

    cpu: str
    architecture: str
    cores: int
    threads: int
    memory_bytes: int
    system: str
    virtual: bool | None
    model: str | None = None
    soc: str | None = None
    clocks_mhz: tuple[int, ...] = ()
    emulator: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All attributes."""
        return {**asdict(self), "clocks_mhz": list(self.clocks_mhz), "versions": dict(sorted(self.versions.items()))}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Machine:
        """Inverse of `to_json`; records made before a fact was known lack it."""
        return cls(**{**data, "clocks_mhz": tuple(data.get("clocks_mhz", ())), "versions": dict(data.get("versions", {}))})


@dataclass(frozen=True)
class DeviceState:
    """What may change under a measurement. None is what the system does not tell.

    Attributes:
        clock_mhz: Current mean clock of the cores.
        max_clock_mhz: The highest it may reach.
        governor: Of core 0.
        temperature_c: The hottest sensor of the processor.
        load: Runnable processes, mean of the last minute.
        memory_available_bytes: Free or reclaimable.
        on_battery: Whether it runs from one.
        battery_percent: Its charge.
        busy_seconds: CPU seconds all processes used since boot.
        stolen_seconds: CPU seconds the hypervisor gave to others since boot.
        own_seconds: CPU seconds of this process and its finished children, or None where ours cannot be told from others'.
        at: Seconds of the device's monotonic clock, to take differences; it falls when the device reboots.
    """

    clock_mhz: float | None = None
    max_clock_mhz: float | None = None
    governor: str | None = None
    temperature_c: float | None = None
    load: float | None = None
    memory_available_bytes: int = 0
    on_battery: bool | None = None
    battery_percent: float | None = None
    busy_seconds: float = 0.0
    stolen_seconds: float = 0.0
    own_seconds: float | None = None
    at: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """What a reader of the record can use: not the running counters."""
        counters = {"busy_seconds", "stolen_seconds", "own_seconds", "at"}
        return {k: v for k, v in asdict(self).items() if k not in counters}
