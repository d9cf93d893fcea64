"""The machine a measurement was taken on, and its state before and after."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")


@dataclass(frozen=True)
class Machine:
    """What does not change between measurements.

    Attributes:
        cpu: Model name.
        architecture: ``x86_64``.
        cores: Physical cores.
        threads: Logical processors this process may use.
        memory_bytes: Installed.
        system: Operating system and kernel.
        virtual: Whether a hypervisor or a container limit stands between, or None where that cannot be told.
    """

    cpu: str
    architecture: str
    cores: int
    threads: int
    memory_bytes: int
    system: str
    virtual: bool | None

    def to_json(self) -> dict[str, Any]:
        """All attributes."""
        return asdict(self)


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
        own_seconds: CPU seconds of this process and its finished children.
        at: Monotonic seconds, to take differences.
    """

    clock_mhz: float | None
    max_clock_mhz: float | None
    governor: str | None
    temperature_c: float | None
    load: float | None
    memory_available_bytes: int
    on_battery: bool | None
    battery_percent: float | None
    busy_seconds: float
    stolen_seconds: float
    own_seconds: float
    at: float

    def to_json(self) -> dict[str, Any]:
        """What a reader of the record can use: not the running counters."""
        counters = {"busy_seconds", "stolen_seconds", "own_seconds", "at"}
        return {k: v for k, v in asdict(self).items() if k not in counters}


@dataclass(frozen=True)
class Load:
    """What others did while we measured, in mean busy cores.

    Attributes:
        others: Used by other processes.
        stolen: Taken by the hypervisor.
    """

    others: float
    stolen: float

    @classmethod
    def between(cls, before: DeviceState, after: DeviceState) -> Load:
        """From the counters of two states."""
        seconds = max(after.at - before.at, 1e-9)
        own = after.own_seconds - before.own_seconds
        return cls(
            max(0.0, after.busy_seconds - before.busy_seconds - own) / seconds, (after.stolen_seconds - before.stolen_seconds) / seconds
        )


def machine() -> Machine:
    """This one."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = psutil.cpu_count(logical=False) or usable
    system = f"{platform.system()} {platform.release()}"
    return Machine(_cpu_name(), platform.machine(), cores, usable, psutil.virtual_memory().total, system, _is_virtual())


def device_state() -> DeviceState:
    """The state now."""
    clock = _first(psutil.cpu_freq) if hasattr(psutil, "cpu_freq") else None
    battery = _first(psutil.sensors_battery) if hasattr(psutil, "sensors_battery") else None
    times, own = psutil.cpu_times(), os.times()
    return DeviceState(
        clock_mhz=clock.current if clock and clock.current else None,
        max_clock_mhz=clock.max if clock and clock.max else None,
        governor=_read(_CPUFREQ / "scaling_governor"),
        temperature_c=_temperature(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        memory_available_bytes=psutil.virtual_memory().available,
        on_battery=None if battery is None else not battery.power_plugged,
        battery_percent=None if battery is None else float(battery.percent),
        busy_seconds=sum(getattr(times, k, 0.0) for k in ("user", "nice", "system", "irq", "softirq")),
        stolen_seconds=getattr(times, "steal", 0.0),
        own_seconds=own.user + own.system + own.children_user + own.children_system,
        at=time.monotonic(),
    )


def _first(probe: Any) -> Any:
    """What a psutil probe says, or None where the platform lacks it."""
    try:
        return probe()
    except (OSError, NotImplementedError, RuntimeError, AttributeError):
        return None


def _temperature() -> float | None:
    sensors = _first(psutil.sensors_temperatures) if hasattr(psutil, "sensors_temperatures") else None
    wanted = ("coretemp", "k10temp", "cpu_thermal", "soc_thermal", "zenpower")
    return _hottest(entry.current for name in wanted for entry in (sensors or {}).get(name, ()))


def _hottest(values: Iterable[float | None]) -> float | None:
    return max((v for v in values if v is not None), default=None)


def _cpu_name() -> str:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in ("model name", "hardware", "cpu model") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def _is_virtual() -> bool | None:
    info = _read(Path("/proc/cpuinfo"))
    return None if info is None else any("hypervisor" in line.split() for line in info.splitlines() if line.startswith("flags"))


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
