"""The facts about this machine, and its state now."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from edgekit.devices.machine import DeviceState, Machine

_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")


def machine() -> Machine:
    """This one."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = psutil.cpu_count(logical=False) or usable
    system = f"{platform.system()} {platform.release()}"
    return Machine(
        _cpu_name(),
        platform.machine(),
        cores,
        usable,
        psutil.virtual_memory().total,
        system,
        _is_virtual(),
        model=_read(Path("/proc/device-tree/model")),
        clocks_mhz=_clocks_mhz(),
        versions={"python": platform.python_version()},
    )


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


def _clocks_mhz() -> tuple[int, ...]:
    """Highest clock of each kind of core, fastest first."""
    policies = Path("/sys/devices/system/cpu/cpufreq").glob("policy*/cpuinfo_max_freq")
    return tuple(sorted({int(khz) // 1000 for path in policies if (khz := _read(path) or "").isdecimal()}, reverse=True))


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
        return path.read_text().strip("\0\n ")
    except OSError:
        return None
