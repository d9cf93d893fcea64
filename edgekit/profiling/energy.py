"""Energy of a run, where the machine has a meter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgekit.sensing import NO_METER
from edgekit.timing import Launch


@dataclass(frozen=True)
class Energy:
    """What a run takes.

    Attributes:
        millijoules: Of one run, idle power included; median over launches. None where there is no meter.
        meter: Its name, or None.
        resolution: What it covers and how finely, or None.
        reason: Why there is no figure, or None.
    """

    millijoules: float | None = None
    meter: str | None = None
    resolution: str | None = None
    reason: str | None = NO_METER

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def energy(launches: Sequence[Launch]) -> Energy:
    """From the launches that have a reading."""
    metered = [launch.timings for launch in launches if launch.timings.energy_j is not None]
    if not metered:
        meters = {launch.timings.meter for launch in launches} - {None}
        return Energy(reason=f"{meters.pop()} stopped answering" if meters else NO_METER)
    each = [1e3 * (t.energy_j or 0.0) / max(1, len(t.samples_ns)) for t in metered]
    if not any(each):
        return Energy(meter=metered[0].meter, resolution=metered[0].meter_resolution, reason="the meter did not move: sample for longer")
    return Energy(float(np.median(each)), metered[0].meter, metered[0].meter_resolution, None)
