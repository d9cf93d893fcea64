"""What devices do to us: each fault is told as what it is, in good time, and nothing is left running."""

import socket
import threading

import pytest

from edgekit.devices import Address, opened
from edgekit.errors import DeviceFailed, DeviceFull, DeviceLost, DeviceUnavailable
from edgekit.testing.processes import own_argument, running, wait_until
from edgekit_runtimes.transports import _posix
from edgekit_runtimes.transports._line import Output


def interrupted(device, fault):
    """Run something long, cause the fault meanwhile; the error."""
    mark = own_argument()

    def cause():
        wait_until(lambda: running(mark))
        fault()

    thread = threading.Thread(target=cause)
    thread.start()
    with pytest.raises(DeviceLost) as caught:
        device.run(["sh", "-c", f"sleep {mark} & sleep {mark}; :"], timeout=60)
    thread.join(60)
    wait_until(lambda: not running(mark))
    return caught.value


@pytest.mark.parametrize("fault", ["reboot", "unplug", "drop"])
def test_an_android_device_goes_away(android, fault):
    with opened(f"adb:{android.serial}") as device:
        assert "was lost" in str(interrupted(device, getattr(android, fault)))


def test_the_adb_server_is_killed(android, adb_server):
    with opened(f"adb:{android.serial}") as device:
        interrupted(device, lambda: adb_server("kill-server"))
    adb_server("connect", android.serial)
    with opened(f"adb:{android.serial}") as device:
        assert device.run(["echo", "back"]).stdout == b"back\n"


def test_a_board_drops_the_connection(board):
    with opened(board.address) as device:
        interrupted(device, board.drop)
        with pytest.raises(DeviceLost):
            device.run(["true"])
    with opened(board.address) as device:
        assert device.run(["echo", "back"]).stdout == b"back\n"


def test_a_device_lost_within_a_scratch_folder_is_told_of_and_not_its_tidying(board):
    with opened(board.address) as device, pytest.raises(DeviceLost, match="was lost"), device.scratch():
        board.drop()
        device.run(["true"])


def test_android_storage_is_full(android, tmp_path):
    file = tmp_path / "model.bin"
    file.write_bytes(bytes(200_000))
    android.capacity = 100_000
    with opened(f"adb:{android.serial}") as device:
        with pytest.raises(DeviceFull, match="full") as caught:
            device.push(file)
        assert f"edgekit devices clean adb:{android.serial}" in str(caught.value)
        android.capacity = None
        assert device.push(file)
    assert not list(android.root.rglob("*.part-*"))


def test_board_storage_is_full(board, tmp_path, monkeypatch):
    file = tmp_path / "model.bin"
    file.write_bytes(bytes(1000))
    with opened(board.address) as device:
        line = device._line
        original = line._execute

        async def full(script, source, timeout, limit):
            if source is None:
                return await original(script, source, timeout, limit)
            return Output(b"", b"cat: write error: No space left on device\n", 1)

        monkeypatch.setattr(line, "_execute", full)
        with pytest.raises(DeviceFull):
            device.push(file)


def test_a_copy_that_arrives_damaged_is_not_used(android, tmp_path):
    file = tmp_path / "model.bin"
    file.write_bytes(b"x" * 1000)
    with opened(f"adb:{android.serial}") as device:
        send = device._line.send

        def damaged(source, path, *, timeout):
            other = tmp_path / "other"
            other.write_bytes(b"y" * 1000)
            send(other, path, timeout=timeout)

        device._line.send = damaged
        with pytest.raises(DeviceFailed, match="arrived damaged"):
            device.push(file)
    assert [p for p in android.root.rglob("*") if p.name.startswith("model.bin")] == []


def test_an_unknown_host_key_is_refused(board):
    (board.home / ".ssh" / "known_hosts").unlink()
    with pytest.raises(DeviceUnavailable, match=r"host key of .* is not known") as caught, opened(board.address):
        pass
    assert "ssh -p" in str(caught.value)


def test_a_changed_host_key_is_refused(board):
    board.know(board.other_key())
    with pytest.raises(DeviceUnavailable, match="host key"), opened(board.address):
        pass


def test_a_key_that_is_not_ours_is_refused(board):
    key = board.other_key()
    key.write_private_key(str(board.home / ".ssh" / "id_ed25519"))
    with pytest.raises(DeviceUnavailable, match="accepts none of our keys"), opened(board.address):
        pass


def test_nobody_listens(board):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(DeviceUnavailable, match="cannot be reached"), opened(f"ssh:pi@127.0.0.1:{port}"):
        pass


@pytest.mark.parametrize("fixture", ["adb_address", "ssh_address"])
def test_two_at_once_are_refused(request, fixture):
    address = request.getfixturevalue(fixture)
    refused = pytest.raises(DeviceUnavailable, match=r"in use by process \d+: two at once would measure each other")
    with opened(address), refused, opened(address):
        pass
    with opened(address):
        pass


def test_another_login_is_the_same_board(board):
    with opened(board.address), pytest.raises(DeviceUnavailable, match="in use"), opened(board.address.replace("pi@", "root@")):
        pass


def test_several_android_devices_must_be_told_apart(android, adb_server, tmp_path):
    from edgekit_runtimes.transports._loopback import LoopbackDevice

    with LoopbackDevice(tmp_path / "second") as second:
        adb_server("connect", second.serial)
        with pytest.raises(DeviceUnavailable, match="several") as caught, opened("adb"):
            pass
        assert android.serial in str(caught.value) and second.serial in str(caught.value)
        with opened(f"adb:{second.serial}") as device:
            assert device.run(["echo", "x"]).stdout == b"x\n"
        adb_server("disconnect", second.serial)
    with opened("adb") as device:
        assert str(device.address) == f"adb:{android.serial}"


def test_a_device_that_is_not_attached(adb_server):
    with pytest.raises(DeviceUnavailable, match="no device adb:nope"), opened("adb:nope"):
        pass


class Garbage:
    """A line that answers anything."""

    def __init__(self, output):
        self.output = output

    def execute(self, script, *, timeout, limit=0):
        return self.output

    def interrupt(self):
        pass

    def close(self):
        pass


@pytest.mark.parametrize("noise", [b"", b"\xff" * 1000, b"edgekit-0000 0\n", b"\n\n\n", bytes(range(256))], ids=lambda n: repr(n[:8]))
def test_garbage_is_a_lost_connection_never_a_result(noise):
    device = _posix.PosixTransport(Address("ssh", "x"), Garbage(Output(noise, noise, 0)), "/cache")
    for call in (device.state, device.machine, device.cached_bytes, lambda: device.run(["x"])):
        with pytest.raises(DeviceLost):
            call()
