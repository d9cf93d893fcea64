"""adb's messages and streams: many streams on one connection, each with one unacknowledged message a direction."""

from __future__ import annotations

import queue
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

CNXN, OPEN, OKAY, WRTE, CLSE = (int.from_bytes(name, "little") for name in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE"))
VERSION, MAX_PAYLOAD = 0x01000001, 256 * 1024
_HEADER = struct.Struct("<6I")


@dataclass(frozen=True)
class Message:
    """One message: a command, two arguments whose meaning it gives, data."""

    command: int
    first: int
    second: int
    data: bytes = b""

    def encode(self) -> bytes:
        """Header and data. Since version 0x01000001 nobody looks at the checksum; it is right all the same."""
        magic = self.command ^ 0xFFFFFFFF
        return _HEADER.pack(self.command, self.first, self.second, len(self.data), sum(self.data) & 0xFFFFFFFF, magic) + self.data

    @classmethod
    def receive(cls, connection: socket.socket) -> Message:
        """The next one.

        Raises:
            EOFError: The connection ended.
            ValueError: What came is no message.
        """
        command, first, second, length, _, magic = _HEADER.unpack(_exactly(connection, _HEADER.size))
        if magic != command ^ 0xFFFFFFFF or length > MAX_PAYLOAD:
            raise ValueError("no adb message")
        return cls(command, first, second, _exactly(connection, length))


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)


class Stream:
    """One service's two-way stream of bytes."""

    def __init__(self, send: Callable[[Message], None], ours: int, theirs: int) -> None:
        self._send, self._ours, self._theirs = send, ours, theirs
        self._incoming: queue.Queue[bytes | None] = queue.Queue()
        self._buffer, self._credit, self._writing = b"", threading.Semaphore(0), threading.Lock()
        self.ended = threading.Event()

    def write(self, data: bytes) -> None:
        """Send all of it, waiting for the reader.

        Raises:
            EOFError: The other side closed.
        """
        with self._writing:
            for start in range(0, len(data), MAX_PAYLOAD):
                self._send(Message(WRTE, self._ours, self._theirs, data[start : start + MAX_PAYLOAD]))
                self._credit.acquire()
                if self.ended.is_set():
                    raise EOFError

    def read(self, count: int) -> bytes:
        """Exactly so many bytes.

        Raises:
            EOFError: The other side closed before.
        """
        while len(self._buffer) < count:
            chunk = self._incoming.get()
            if chunk is None:
                self._incoming.put(None)
                raise EOFError
            self._buffer += chunk
            self._send(Message(OKAY, self._ours, self._theirs))  # only now: who writes faster than we read must wait
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def close(self) -> None:
        """Tell the other side."""
        self._send(Message(CLSE, self._ours, self._theirs))

    def on_write(self, data: bytes) -> None:
        """Their data came."""
        self._incoming.put(data)

    def on_okay(self) -> None:
        """They read ours."""
        self._credit.release()

    def on_close(self) -> None:
        """They closed, or the connection is gone."""
        self.ended.set()
        self._incoming.put(None)
        self._credit.release()


class Connection(threading.Thread):
    """A host's connection: serves every stream it opens in a thread of its own."""

    def __init__(self, connection: socket.socket, banner: str, serve: Callable[[Stream, str], None]) -> None:
        super().__init__(daemon=True)
        self._socket, self._banner, self._serve = connection, banner, serve
        self._sending, self._streams = threading.Lock(), dict[int, Stream]()

    def run(self) -> None:
        """Until it ends."""
        try:
            while True:
                self._take(Message.receive(self._socket))
        except (EOFError, OSError, ValueError):
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        """End it as a pulled cable would."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for stream in list(self._streams.values()):
            stream.on_close()

    def _take(self, message: Message) -> None:
        if message.command == CNXN:
            self._send(Message(CNXN, VERSION, MAX_PAYLOAD, self._banner.encode()))
        elif message.command == OPEN:
            self._open(message)
        elif stream := self._streams.get(message.second):
            if message.command == WRTE:
                stream.on_write(message.data)
            elif message.command == OKAY:
                stream.on_okay()
            elif message.command == CLSE:
                self._streams.pop(message.second).on_close()

    def _open(self, message: Message) -> None:
        ours = len(self._streams) + 1
        while ours in self._streams:
            ours += 1
        stream = self._streams[ours] = Stream(self._send, ours, message.first)
        self._send(Message(OKAY, ours, message.first))
        service = message.data.rstrip(b"\0").decode("utf-8", "replace")
        threading.Thread(target=self._run, args=(ours, stream, service), daemon=True).start()

    def _run(self, ours: int, stream: Stream, service: str) -> None:
        try:
            self._serve(stream, service)
        except EOFError:
            pass  # the host left early
        finally:
            stream.close()
            self._streams.pop(ours, None)

    def _send(self, message: Message) -> None:
        with self._sending, suppress(OSError):
            self._socket.sendall(message.encode())
