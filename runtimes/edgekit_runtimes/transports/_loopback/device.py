"""The emulated device: listens on a loopback port, and can be unplugged, rebooted and filled up."""

from __future__ import annotations

import shlex
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from edgekit_runtimes.transports._loopback.messages import Connection, Stream
from edgekit_runtimes.transports._loopback.shell import Shell
from edgekit_runtimes.transports._loopback.sync import FileService

STORAGE, PROGRAMS = "data/local/tmp", "system/bin"
PROPERTIES = {
    "ro.build.version.sdk": "35",
    "ro.product.manufacturer": "edgekit",
    "ro.product.model": "loopback",
}
BATTERY = "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n  level: 87\n  scale: 100\n  temperature: 271"


class LoopbackDevice:
    """A device for ``adb connect``; a context manager.

    Args:
        root: Empty or earlier used folder that holds its files.
        launchers: By architecture, shell text to put before its programs (``{"aarch64": "qemu-aarch64 -cpu cortex-a76"}``).
        places: Further files of the device that scripts may name, and where they are here.
        programs: Further programs of the device, by name what they print.
        properties: What ``getprop`` says, over `PROPERTIES`.
        environment: Of its processes.
        capacity: Bytes of storage, or None.
        port: To listen on; 0 chooses one.
    """

    def __init__(
        self,
        root: Path,
        *,
        launchers: Mapping[str, str] | None = None,
        places: Mapping[str, Path] | None = None,
        programs: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        capacity: int | None = None,
        port: int = 0,
    ) -> None:
        self.root, self.capacity = root.resolve(), capacity
        self.properties = {**PROPERTIES, **(properties or {})}
        ours = {f"/{name}": self.root / name for name in (STORAGE, PROGRAMS)}
        self.shell = Shell(self.root, {**ours, **(places or {})}, launchers or {}, environment or {})
        self._connections: list[Connection] = []
        self._furnish(programs or {})
        self._listen(port)

    def __enter__(self) -> LoopbackDevice:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.unplug()
        self.shell.kill()

    @property
    def serial(self) -> str:
        """What adb calls it."""
        return f"127.0.0.1:{self.port}"

    def unplug(self) -> None:
        """Drop every connection and take no new one; processes live on, as they do when a cable is pulled."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts, which would keep the port
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Drop every connection; new ones are welcome."""
        for connection in self._connections:
            connection.drop()
        self._connections.clear()

    def plug(self) -> None:
        """Listen again, on the port it had."""
        self._listen(self.port)

    def reboot(self) -> None:
        """Drop connections, kill processes, come back."""
        self.unplug()
        self.shell.kill()
        self.plug()

    def place(self, path: str) -> Path:
        """Where a path of the device is here.

        Raises:
            PermissionError: Outside of what it has.
        """
        found = (self.root / path.lstrip("/")).resolve()
        if not found.is_relative_to(self.root):
            raise PermissionError(13, "Permission denied")
        return found

    def _room(self) -> int:
        used = sum(p.stat().st_size for p in (self.root / STORAGE).rglob("*") if p.is_file())
        return (1 << 62) if self.capacity is None else self.capacity - used

    def _furnish(self, more: Mapping[str, str]) -> None:
        """Its storage, and the Android programs that facts are asked of."""
        (self.root / STORAGE).mkdir(parents=True, exist_ok=True)
        folder = self.root / PROGRAMS
        folder.mkdir(parents=True, exist_ok=True)
        listing = "\n".join(f"[{key}]: [{value}]" for key, value in sorted(self.properties.items()))
        for name, text in {"getprop": listing, "dumpsys": BATTERY, **more}.items():
            program = folder / name
            program.write_text(f"#!/bin/sh\nprintf '%s\\n' {shlex.quote(text)}\n")
            program.chmod(0o755)

    def _listen(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        model = self.properties["ro.product.model"]
        banner = f"device::ro.product.name={model};ro.product.model={model};ro.product.device={model};features=shell_v2,cmd"
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return  # unplugged
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(accepted, banner, self._serve)
            self._connections.append(connection)
            connection.start()

    def _serve(self, stream: Stream, service: str) -> None:
        name, _, argument = service.partition(":")
        kind, *options = name.split(",")
        if kind == "sync":
            FileService(self.place, self._room)(stream)
        elif kind in ("shell", "exec"):
            self.shell(stream, argument, framed="v2" in options)
        elif kind == "reboot":
            threading.Thread(target=self.reboot, daemon=True).start()
