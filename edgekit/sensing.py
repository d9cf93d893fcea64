"""Clock, temperature and energy of the machine a run is timed on, read between runs, never within one.

Only files of Linux' ``/sys`` are read, through `Files`, so that a board at the other end of a cable is read alike.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_CPU_ZONES = re.compile(r"cpu|soc|pkg|tdie|cluster", re.IGNORECASE)


class Files(Protocol):
    """Read access to a machine's files."""

    def read(self, path: str) -> str | None:
        """The text of a file without surrounding space, or None where it cannot be read."""

    def glob(self, pattern: str) -> list[str]:
        """Absolute paths that match, sorted."""


@dataclass(frozen=True)
class LocalFiles:
    """This machine's. `root` is its file system's; tests give another."""

    root: Path = Path("/")

    def read(self, path: str) -> str | None:
        """See `Files`."""
        try:
            return (self.root / path.lstrip("/")).read_text(errors="replace").strip()
        except OSError:
            return None

    def glob(self, pattern: str) -> list[str]:
        """See `Files`."""
        found = sorted(self.root.glob(pattern.lstrip("/")))
        return ["/" + path.relative_to(self.root).as_posix() for path in found]


def clock_mhz(files: Files) -> float | None:
    """Mean clock of the cores, or None where the system does not tell."""
    paths = files.glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    values = [v for path in paths if (v := _number(files, path)) is not None]
    if values:
        return sum(values) / len(values) / 1e3
    told = re.findall(r"^cpu MHz\s*:\s*([\d.]+)", files.read("/proc/cpuinfo") or "", re.MULTILINE)
    return sum(map(float, told)) / len(told) if told else None


def temperature_c(files: Files) -> float | None:
    """The hottest thermal zone of the processor, or None where there is none."""
    zones = [z.rpartition("/")[0] for z in files.glob("/sys/class/thermal/thermal_zone*/type")]
    readings = [_number(files, f"{zone}/temp") for zone in zones if _CPU_ZONES.search(files.read(f"{zone}/type") or "")]
    return max((r / 1e3 for r in readings if r is not None), default=None)


class Meter(Protocol):
    """Takes the energy of the time between `start` and the last `tick`."""

    name: str
    resolution: str

    def start(self) -> None:
        """Begin."""

    def tick(self) -> None:
        """Take a reading."""

    def joules(self) -> float | None:
        """Energy so far, or None where a reading failed."""


@dataclass
class CounterMeter:
    """Energy counters that run by themselves.

    Attributes:
        name: What they are.
        resolution: What they cover, and how finely.
        files: Where they are read.
        counters: Files in microjoules, and the value after which each begins again.
    """

    name: str
    resolution: str
    files: Files
    counters: tuple[tuple[str, float], ...]

    def start(self) -> None:
        """See `Meter`."""
        self._total, self._last = 0.0, self._readings()

    def tick(self) -> None:
        """See `Meter`."""
        now = self._readings()
        for before, after, (_, limit) in zip(self._last, now, self.counters, strict=True):
            self._total += after - before if after >= before else after - before + limit
        self._last = now

    def joules(self) -> float | None:
        """See `Meter`."""
        return None if self._total != self._total else self._total / 1e6

    def _readings(self) -> list[float]:
        values = (_number(self.files, path) for path, _ in self.counters)
        return [float("nan") if v is None else v for v in values]


@dataclass
class PowerMeter:
    """Power readings, integrated over time by the trapezoidal rule.

    Attributes:
        name: What they are.
        resolution: What they cover, and how finely.
        files: Where they are read.
        rails: For each rail, its files and the factor that makes watts of their product.
    """

    name: str
    resolution: str
    files: Files
    rails: tuple[tuple[tuple[str, ...], float], ...]

    def start(self) -> None:
        """See `Meter`."""
        self._total, self._at, self._power = 0.0, time.monotonic(), self._watts()

    def tick(self) -> None:
        """See `Meter`."""
        now, power = time.monotonic(), self._watts()
        self._total += (now - self._at) * (power + self._power) / 2
        self._at, self._power = now, power

    def joules(self) -> float | None:
        """See `Meter`."""
        return None if self._total != self._total else self._total

    def _watts(self) -> float:
        watts = 0.0
        for paths, factor in self.rails:
            product = factor
            for path in paths:
                value = _number(self.files, path)
                product *= float("nan") if value is None else abs(value)
            watts += product
        return watts


NO_METER = "no energy meter can be read here: none of powercap (root only on most systems), INA3221, a battery that is discharging"


def find_meter(files: Files) -> Meter | None:
    """The machine's best energy meter, or None (see `NO_METER`)."""
    return _powercap(files) or _ina3221(files) or _battery(files)


def _powercap(files: Files) -> Meter | None:
    """Intel's and AMD's RAPL: the whole platform where it is counted, else the processor packages without memory."""
    zones = {z.rpartition("/")[0]: files.read(z) or "" for z in files.glob("/sys/class/powercap/intel-rapl:[0-9]*/name")}
    top = {zone: name for zone, name in zones.items() if zone.count(":") == 1}
    chosen = [z for z, name in top.items() if name == "psys"] or [z for z, name in top.items() if name.startswith("package")]
    counters = tuple((f"{z}/energy_uj", _number(files, f"{z}/max_energy_range_uj") or 0.0) for z in chosen)
    if not counters or any(_number(files, path) is None for path, _ in counters):
        return None
    covers = "the whole platform" if top[chosen[0]] == "psys" else "the processor packages, other programs included, memory not"
    return CounterMeter("powercap", f"{covers}; updated about every millisecond", files, counters)


def _ina3221(files: Files) -> Meter | None:
    """The power monitor of Jetson boards: millivolts times milliamperes, of the board's input where it is wired so."""
    labels = {p: files.read(p) or "" for p in files.glob("/sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in[1-3]_label")}
    chosen = [p for p, label in labels.items() if label == "VDD_IN"] or [
        p for p, label in labels.items() if label.startswith(("VDD", "VIN"))
    ]
    rails = tuple(((_beside(p, "in", "_input"), _beside(p, "curr", "_input")), 1e-6) for p in chosen)
    if not rails or any(_number(files, path) is None for paths, _ in rails for path in paths):
        return None
    return PowerMeter("INA3221", f"rails {', '.join(sorted(labels[p] for p in chosen))}, sampled between runs", files, rails)


def _beside(label: str, kind: str, ending: str) -> str:
    """``…/in2_label`` to ``…/curr2_input``."""
    folder, _, name = label.rpartition("/")
    return f"{folder}/{kind}{name.removeprefix('in').removesuffix('_label')}{ending}"


def _battery(files: Files) -> Meter | None:
    """A battery that supplies the machine now; one that is charged tells of the charger."""
    for status in files.glob("/sys/class/power_supply/*/status"):
        folder = status.rpartition("/")[0]
        if files.read(f"{folder}/type") != "Battery" or files.read(status) != "Discharging":
            continue
        paths = (f"{folder}/current_now", f"{folder}/voltage_now")
        if all(_number(files, p) is not None for p in paths):
            told = "the whole device, screen and radios included; gauges update about every second"
            return PowerMeter("battery", told, files, ((paths, 1e-12),))
    return None


def _number(files: Files, path: str) -> float | None:
    try:
        return float(files.read(path) or "")
    except ValueError:
        return None


@dataclass(frozen=True)
class Reading:
    """What was seen between two runs.

    Attributes:
        runs: Runs so far.
        seconds: Since sampling began.
        clock_mhz: Of the cores, or None.
        temperature_c: Of the processor, or None.
    """

    runs: int
    seconds: float
    clock_mhz: float | None
    temperature_c: float | None


class Watch:
    """Takes readings of a machine while it is timed, at most every `interval` seconds.

    Args:
        files: The machine's.
        interval: Seconds between readings of clock and temperature; reading them takes longer than a run does.
    """

    def __init__(self, files: Files | None = None, interval: float = 0.25) -> None:
        self.files = files or LocalFiles()
        self.interval = interval
        self.meter = find_meter(self.files)
        self.readings: list[Reading] = []

    def start(self) -> None:
        """Begin."""
        self._start = time.monotonic()
        self._take(0)
        if self.meter:
            self.meter.start()

    def tick(self, runs: int, *, last: bool = False) -> None:
        """Take a reading, if it is time or the `last`."""
        if self.meter:
            self.meter.tick()
        if last or time.monotonic() - self._start - self.readings[-1].seconds >= self.interval:
            self._take(runs)

    def joules(self) -> float | None:
        """Energy from `start` to the last `tick`, or None."""
        return self.meter.joules() if self.meter else None

    def table(self) -> Sequence[Sequence[float]]:
        """The readings as rows of numbers, NaN for what is unknown."""
        nan = float("nan")
        return [
            [r.runs, r.seconds, nan if r.clock_mhz is None else r.clock_mhz, nan if r.temperature_c is None else r.temperature_c]
            for r in self.readings
        ]

    def _take(self, runs: int) -> None:
        at = time.monotonic() - self._start
        self.readings.append(Reading(runs, at, clock_mhz(self.files), temperature_c(self.files)))
