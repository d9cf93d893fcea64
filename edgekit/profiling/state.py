"""What else a device did while we measured on it."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.devices.machine import DeviceState


@dataclass(frozen=True)
class Load:
    """What others did while we measured, in mean busy cores.

    Attributes:
        others: Used by other processes; 0 where ours cannot be told from theirs.
        stolen: Taken by the hypervisor.
    """

    others: float
    stolen: float

    @classmethod
    def between(cls, before: DeviceState, after: DeviceState) -> Load:
        """From the counters of two states."""
        seconds = max(after.at - before.at, 1e-9)
        stolen = (after.stolen_seconds - before.stolen_seconds) / seconds
        if before.own_seconds is None or after.own_seconds is None:
            return cls(0.0, stolen)
        own = after.own_seconds - before.own_seconds
        return cls(max(0.0, after.busy_seconds - before.busy_seconds - own) / seconds, stolen)
