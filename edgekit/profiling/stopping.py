"""Ctrl-C for work in another thread: what runs on a device is ended there."""

from __future__ import annotations

import threading

from edgekit.devices import Device


class Stop:
    """Set once, by another thread; lets go of every device that is watched, so that calls on it end at once."""

    def __init__(self) -> None:
        self._lock, self._set, self._devices = threading.Lock(), False, list[Device]()

    @property
    def is_set(self) -> bool:
        """Whether work should end."""
        return self._set

    def watch(self, device: Device) -> None:
        """Let go of this device when set, or now if that was before."""
        with self._lock:
            self._devices.append(device)
            late = self._set
        if late:
            device.close()

    def set(self) -> None:
        """End the work."""
        with self._lock:
            self._set, devices = True, list(self._devices)
        for device in devices:
            device.close()
