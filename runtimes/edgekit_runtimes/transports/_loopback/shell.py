"""adb's shell service: this machine's ``/bin/sh``, with the device's folders in place and foreign programs behind a launcher."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from edgekit_runtimes.transports._elf import architecture
from edgekit_runtimes.transports._loopback.messages import Stream

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
"""Packets of shell protocol 2."""


@dataclass
class Shell:
    """Runs scripts.

    Attributes:
        root: Folder that holds the device's files.
        places: Paths on the device that scripts may name, and where they are here.
        launchers: By architecture, shell text to put before a program built for it.
        environment: Of every process.
        running: Processes that live.
    """

    root: Path
    places: Mapping[str, Path]
    launchers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    running: set[subprocess.Popen[bytes]] = field(default_factory=set)

    def __call__(self, stream: Stream, command: str, *, framed: bool) -> None:
        """Serve one ``shell`` stream; `framed` is protocol 2, which keeps streams apart and tells the exit code."""
        process = subprocess.Popen(
            ["/bin/sh", "-c", self.local(command)],
            cwd=self.root,
            env={"PATH": f"{self.root}/system/bin:{os.environ.get('PATH', '/usr/bin:/bin')}", "HOME": str(self.root), **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if framed else subprocess.STDOUT,
            start_new_session=True,
        )
        self.running.add(process)
        try:
            self._serve(stream, process, framed)
        finally:
            with suppress(OSError):
                if process.stdin:
                    process.stdin.close()
            threading.Thread(target=self._reap, args=(process,), daemon=True).start()

    def _serve(self, stream: Stream, process: subprocess.Popen[bytes], framed: bool) -> None:
        assert process.stdin and process.stdout
        outputs = [(STDOUT, process.stdout)] + ([(STDERR, process.stderr)] if process.stderr else [])
        threads = [threading.Thread(target=_pump, args=(stream, kind if framed else None, source), daemon=True) for kind, source in outputs]
        feeder = threading.Thread(target=_feed, args=(stream, process.stdin, framed), daemon=True)
        for thread in (*threads, feeder):
            thread.start()
        for thread in threads:
            thread.join()
        if not stream.ended.is_set():
            code = process.wait()
            if framed:
                stream.write(struct.pack("<BIB", EXIT, 1, (code if code >= 0 else 128 - code) & 0xFF))

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self.running.discard(process)

    def kill(self) -> None:
        """End every process, as a reboot does."""
        for process in list(self.running):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def local(self, command: str) -> str:
        """The script with the device's paths replaced and launchers put before foreign programs in command position."""
        for there, here in self.places.items():
            command = command.replace(there, str(here))
        if not self.launchers:
            return command
        path = rf"(?P<quote>['\"]?)(?P<file>{re.escape(str(self.root))}[^\s'\"]+)(?P=quote)"
        return re.sub(rf"(?P<before>(?:^|[;&|(]|\bexec)\s*){path}", self._launched, command)

    def _launched(self, found: re.Match[str]) -> str:
        file = Path(found["file"])
        launcher = self.launchers.get(architecture(file) or "" if file.is_file() else "", "")
        return f"{found['before']}{launcher} {found['quote']}{file}{found['quote']}" if launcher else found[0]


def _pump(stream: Stream, kind: int | None, source: IO[bytes]) -> None:
    """From the process to the host."""
    with source, suppress(EOFError):
        while data := source.read1(65536):  # type: ignore[attr-defined]
            stream.write(data if kind is None else struct.pack("<BI", kind, len(data)) + data)


def _feed(stream: Stream, sink: IO[bytes], framed: bool) -> None:
    """From the host to the process; the end of the stream is the end of its input, and nothing else happens to it."""
    with suppress(EOFError, OSError, ValueError):
        while True:
            kind, length = struct.unpack("<BI", stream.read(5)) if framed else (STDIN, 1)
            data = stream.read(length)
            if kind == CLOSE_STDIN:
                break
            if kind == STDIN:
                sink.write(data)
                sink.flush()
    with suppress(OSError):
        sink.close()
