"""adb's file service, version 1: STAT, LIST, SEND, RECV."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgekit_runtimes.transports._loopback.messages import Stream

_CHUNK, _LONGEST_PATH = 64 * 1024, 4096


@dataclass(frozen=True)
class FileService:
    """Serves one ``sync:`` stream.

    Attributes:
        place: A path on the device to the file here, or `PermissionError`.
        room: Bytes that still fit on the device.
    """

    place: Callable[[str], Path]
    room: Callable[[], int]

    def __call__(self, stream: Stream) -> None:
        """Until QUIT."""
        actions = {b"STAT": self._stat, b"LIST": self._list, b"SEND": self._receive, b"RECV": self._give}
        while True:
            name, length = struct.unpack("<4sI", stream.read(8))
            if name == b"QUIT" or length > _LONGEST_PATH:
                return
            argument = stream.read(length).decode("utf-8", "replace")
            try:
                if name not in actions:
                    raise OSError(errno.ENOSYS, f"unsupported request {name!r}")
                actions[name](stream, argument)
            except OSError as error:
                said = (error.strerror or str(error)).encode()
                stream.write(struct.pack("<4sI", b"FAIL", len(said)) + said)

    def _stat(self, stream: Stream, path: str) -> None:
        try:
            found = self.place(path).stat()
            answer = struct.pack("<3I", found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime) & 0xFFFFFFFF)
        except OSError:
            answer = bytes(12)
        stream.write(b"STAT" + answer)

    def _list(self, stream: Stream, path: str) -> None:
        for entry in sorted(self.place(path).iterdir()):
            facts, name = entry.lstat(), entry.name.encode()
            head = struct.pack("<4s4I", b"DENT", facts.st_mode, facts.st_size & 0xFFFFFFFF, int(facts.st_mtime) & 0xFFFFFFFF, len(name))
            stream.write(head + name)
        stream.write(struct.pack("<4s4I", b"DONE", 0, 0, 0, 0))

    def _receive(self, stream: Stream, argument: str) -> None:
        """``path,mode``, then chunks, then the time of the file. What does not fit is read all the same, as adbd does."""
        path, _, mode = argument.rpartition(",")
        target, problem = self.place(path), None
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            while True:
                name, length = struct.unpack("<4sI", stream.read(8))
                if name != b"DATA":
                    break
                data = stream.read(min(length, _CHUNK))
                if problem is None and len(data) > self.room():
                    problem = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if problem is None:
                    file.write(data)
                    file.flush()
        if problem is not None:
            target.unlink(missing_ok=True)
            raise problem
        target.chmod(int(mode) & 0o777)
        stream.write(struct.pack("<4sI", b"OKAY", 0))

    def _give(self, stream: Stream, path: str) -> None:
        with self.place(path).open("rb") as file:
            while data := file.read(_CHUNK):
                stream.write(struct.pack("<4sI", b"DATA", len(data)) + data)
        stream.write(struct.pack("<4sI", b"DONE", 0))
