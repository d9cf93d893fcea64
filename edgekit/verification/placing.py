"""Verifying on another device: the runtime there, and its answers held against this machine's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.conversion.running import runtime_for, runtime_on
from edgekit.devices import Machine, opened
from edgekit.plugins import Runtime


@dataclass(frozen=True)
class Place:
    """Where an artifact is run.

    Attributes:
        runtime: What runs it there.
        on: The device's name.
        machine: The device; None for this machine, where the runtime makes processes by itself.
    """

    runtime: Runtime
    on: str = "host"
    machine: Machine | None = None


@dataclass(frozen=True)
class Elsewhere:
    """Answers of another device beside this machine's, for the same file and inputs.

    Attributes:
        on: The device's name.
        cpu: Its processor.
        emulator: What emulates it, or None for the real thing.
        values: How many values the outputs hold.
        differing: How many of them are not equal, bit for bit.
        max_abs: The largest difference, in real values.
    """

    on: str
    cpu: str
    emulator: str | None
    values: int
    differing: int
    max_abs: float

    def __str__(self) -> str:
        how = f"emulated by {self.emulator}" if self.emulator else self.cpu
        if not self.differing:
            return f"on {self.on} ({how}) all {self.values} output values equal this machine's, bit for bit"
        share = f"{self.differing} of {self.values} output values differ from this machine's, by at most {self.max_abs:.3g}"
        return f"on {self.on} ({how}) {share}"

    def to_json(self) -> dict[str, Any]:
        """All attributes."""
        return dict(vars(self))


@contextmanager
def placed(model_format: str, runtime: str | None, on: str) -> Iterator[Place]:
    """Yield the runtime that executes a format on a device.

    Raises:
        UsageError: No such device or runtime, or it does not run there.
        DeviceUnavailable: The device cannot be reached.
    """
    if on in ("host", "local"):
        yield Place(runtime_for(model_format, runtime))
        return
    with opened(on) as device:
        yield Place(runtime_on(device, model_format, runtime), on, device.machine())


def held_against_here(place: Place, here: Mapping[str, np.ndarray], there: Mapping[str, np.ndarray]) -> Elsewhere:
    """Compare outputs of both. NaN equals NaN."""
    assert place.machine is not None
    equal = {name: (there[name] == value) | (np.isnan(value) & np.isnan(there[name])) for name, value in here.items()}
    far = [np.abs(there[name].astype(np.float64) - value)[~equal[name]] for name, value in here.items()]
    return Elsewhere(
        place.on,
        place.machine.cpu,
        place.machine.emulator,
        sum(value.size for value in here.values()),
        sum(int((~same).sum()) for same in equal.values()),
        max((float(np.nan_to_num(d, nan=np.inf).max()) for d in far if d.size), default=0.0),
    )
