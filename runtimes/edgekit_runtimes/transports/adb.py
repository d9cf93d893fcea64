"""Android devices, through the genuine ``adb`` client.

Chosen over adbutils: the client is what phones are tested with; it starts its server, compresses, follows protocol changes, and a
hung call is ended by killing a process. Nothing of it is parsed but ``adb devices``; exit codes come by `_script.Guarded`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

from edgekit.devices import Address, Found, Transport
from edgekit.errors import DeviceUnavailable
from edgekit_runtimes.transports._adb_line import AdbLine
from edgekit_runtimes.transports._posix import PosixTransport

CACHE = "/data/local/tmp/edgekit"
LOOPBACK = "loopback"
"""The place of the emulated device."""
INSTALL = "apt-get install adb   (or Android's platform-tools)"
ADVICE = {
    "unauthorized": "unlock the device and accept this computer's key",
    "offline": "unplug and plug it again, or: adb reconnect offline",
    "no permissions": "add udev rules for it: apt-get install android-sdk-platform-tools-common",
}


class Adb:
    """The plug-in. ``ADB`` names another client than the one in the search path."""

    name = "adb"
    exclusive = True

    def find(self) -> Iterator[Found]:
        """What ``adb devices`` lists."""
        if client_path() is None:
            yield Found("adb", "Android devices", False, missing="the program adb is not installed", next_step=INSTALL)
            return
        devices = attached()
        for serial, (state, description) in devices.items():
            ready = state == "device"
            advice = next((text for word, text in ADVICE.items() if state.startswith(word)), None)
            yield Found(f"adb:{serial}", description, ready, missing=None if ready else f"it is {state}", next_step=advice)
        yield _emulated()
        if not devices:
            yield Found("adb", "Android devices", False, missing="no device is attached", next_step="plug one in with USB debugging on")

    def open(self, address: Address) -> Transport:
        """See `edgekit.devices.Transports`."""
        client = client_path()
        if client is None:
            raise DeviceUnavailable("the program adb is not installed", next_step=INSTALL)
        if address.place == LOOPBACK:
            from edgekit_runtimes.transports._loopback.arm64 import LoopbackAdb  # noqa: PLC0415 - brings the emulator

            return LoopbackAdb(client, CACHE)
        found = Address("adb", _serial(address.place))
        return PosixTransport(found, AdbLine(found, client), CACHE)


def _emulated() -> Found:
    """The loopback device: it needs what an emulated board needs."""
    from edgekit_runtimes.transports.qemu_user import TRANSPORT as BOARDS  # noqa: PLC0415

    board = next(found for found in BOARDS.find() if found.address == "qemu:cortex-a76")
    description = "emulated Android arm64: adb's own protocol on a loopback port, programs under QEMU"
    return Found(f"adb:{LOOPBACK}", description, board.ready, True, board.missing, board.next_step)


def client_path() -> str | None:
    """The adb client, or None."""
    return shutil.which(os.environ.get("ADB") or "adb")


def attached() -> dict[str, tuple[str, str]]:
    """State and description by serial, as the client lists them.

    Raises:
        DeviceUnavailable: The client does not work.
    """
    client = client_path()
    try:
        assert client is not None
        done = subprocess.run([client, "devices", "-l"], capture_output=True, stdin=subprocess.DEVNULL, timeout=30, check=True)
    except (OSError, AssertionError, subprocess.SubprocessError) as error:
        raise DeviceUnavailable(f"`adb devices` does not answer: {error}", next_step="adb kill-server, then again") from None
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return dict(entry for line in lines if (entry := _entry(line)))


def _entry(line: str) -> tuple[str, tuple[str, str]] | None:
    """``SERIAL  STATE product:… model:… device:… transport_id:…``."""
    found = re.fullmatch(r"(\S+)\s+(device|offline|unauthorized|recovery|sideload|bootloader|host|no permissions\b.*?)(?:\s+(.*))?", line)
    if found is None:
        return None
    facts = dict(word.split(":", 1) for word in (found[3] or "").split() if ":" in word)
    return found[1], (found[2], facts.get("model", "Android device").replace("_", " "))


def _serial(wanted: str) -> str:
    """The serial asked for, or that of the only device.

    Raises:
        DeviceUnavailable: It is not attached, not ready, or there are several to choose from.
    """
    devices = attached()
    wanted = wanted or os.environ.get("ANDROID_SERIAL", "")
    names = [f"adb:{serial}" for serial in devices]
    if not wanted and len(devices) != 1:
        what = "several Android devices are attached" if devices else "no Android device is attached"
        raise DeviceUnavailable(
            what, accepted=names or None, next_step="name one of them" if devices else "plug one in with USB debugging on"
        )
    serial = wanted or next(iter(devices))
    if serial not in devices:
        raise DeviceUnavailable(f"no device adb:{serial} is attached", accepted=names or None, next_step="edgekit devices")
    state = devices[serial][0]
    if state != "device":
        advice = next((text for word, text in ADVICE.items() if state.startswith(word)), "wait until it is ready")
        raise DeviceUnavailable(f"adb:{serial} is {state}", next_step=advice)
    return serial


TRANSPORT = Adb()
