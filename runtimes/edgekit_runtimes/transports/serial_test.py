"""A microcontroller on a serial line: a firmware that a test plays, behind a pseudo-terminal and behind a socket."""

import contextlib
import os
import pty
import socket
import threading
import tty

import pytest

from edgekit.devices import opened
from edgekit.devices.framing import MARK, decode, encode
from edgekit.errors import DeviceFailed, DeviceLost, DeviceUnavailable, UsageError

INFO = b"ifirmware=1\ncore=cortex-m4\nboard=Nucleo-F446\nclock_hz=180000000\nplan_bytes=131072\narena_bytes=65536\n"


class Firmware(threading.Thread):
    """Answers frames on a file descriptor, which it closes: 'i' as edgekit's firmware does, anything else with itself, doubled."""

    def __init__(self, descriptor):
        super().__init__(daemon=True)
        self.descriptor, self.before, self.answer, self.pulled = descriptor, b"", None, False
        self.awake, self.answered = threading.Event(), threading.Semaphore(0)
        self.awake.set()
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while not self.pulled:
                payload = decode(self.read)
                self.awake.wait(60)
                if not self.pulled:
                    answer = self.answer if self.answer is not None else encode(INFO if payload == b"i" else 2 * payload)
                    os.write(self.descriptor, self.before + answer)
                    self.answered.release()
        os.close(self.descriptor)

    def read(self, count):
        data = b""
        while len(data) < count:
            if not (chunk := os.read(self.descriptor, count - len(data))):
                raise OSError("ended")
            data += chunk
        return data


@pytest.fixture
def terminal():
    """A firmware, and the device's name."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    firmware = Firmware(ours)
    yield firmware, f"serial:{os.ttyname(theirs)}@921600"
    os.close(theirs)
    firmware.join(60)


@pytest.fixture
def connection():
    """The device's name; a firmware answers whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: Firmware(server.accept()[0].detach()), daemon=True)
        thread.start()
        yield f"serial:socket://127.0.0.1:{server.getsockname()[1]}"
        thread.join(60)


@pytest.mark.parametrize("kind", ["terminal", "connection"])
def test_facts_and_messages(request, kind):
    made = request.getfixturevalue(kind)
    with opened(made if kind == "connection" else made[1]) as board:
        machine = board.machine()
        assert (machine.cpu, machine.model, machine.clocks_mhz, machine.memory_bytes) == ("cortex-m4", "Nucleo-F446", (180,), 196_608)
        assert machine.emulator is None
        for message in (b"", b"x", MARK * 100, bytes(range(256)) * 64):
            assert board.exchange(message) == 2 * message


def test_boot_messages_do_no_harm(terminal):
    firmware, name = terminal
    firmware.before = b"\r\nBooting... \xe5\xe5\0\r\n"
    with opened(name) as board:
        assert board.exchange(b"x") == b"xx"


def test_a_damaged_answer_is_told(terminal):
    firmware, name = terminal
    firmware.answer = encode(b"answer")[:-1] + b"\0"
    with opened(name) as board, pytest.raises(DeviceFailed, match="damaged"):
        board.exchange(b"x")


def test_silence_is_told(terminal):
    firmware, name = terminal
    firmware.awake.clear()
    with opened(name) as board:
        with pytest.raises(DeviceFailed, match=r"no answer within 0.2 s"):
            board.exchange(b"x", timeout=0.2)
        firmware.awake.set()
        assert firmware.answered.acquire(timeout=60)
        assert board.exchange(b"y") == b"yy", "the next question is not answered by the last one's late answer"


def test_another_firmware_is_told(terminal):
    firmware, name = terminal
    firmware.answer = encode(b"something else")
    with opened(name) as board, pytest.raises(DeviceFailed, match="does not run edgekit's firmware"):
        board.machine()


def test_a_pulled_cable_is_told(terminal):
    firmware, name = terminal
    with opened(name) as board:
        assert board.exchange(b"x") == b"xx"
        firmware.pulled = True
        with pytest.raises(DeviceLost, match="is gone"):
            board.exchange(b"x", timeout=60)


def test_two_at_once_are_refused(terminal):
    with opened(terminal[1]), pytest.raises(DeviceUnavailable), opened(terminal[1]):
        pass


@pytest.mark.parametrize("name", ["serial:/dev/no-such-port", "serial:/dev/null"])
def test_what_is_no_port(name):
    with pytest.raises(DeviceUnavailable, match="cannot be opened"), opened(name):
        pass


def test_no_baud_rate():
    with pytest.raises(UsageError, match="baud"), opened("serial:/dev/ttyACM0@fast"):
        pass
