"""The emulated Android device, as the genuine adb client and as nobody's client sees it."""

import os
import socket
import subprocess

import pytest

from edgekit.devices import opened
from edgekit_runtimes.transports._loopback import LoopbackDevice
from edgekit_runtimes.transports._loopback.messages import CNXN, Message
from edgekit_runtimes.transports.conftest import adb_server  # noqa: F401 - a fixture

ARM = b"\x7fELF\x02\x01\x01" + bytes(9) + (2).to_bytes(2, "little") + (183).to_bytes(2, "little") + bytes(44)


@pytest.fixture
def adb(adb_server, tmp_path):  # noqa: F811
    """The device and its client's words."""
    with LoopbackDevice(tmp_path / "device", launchers={"aarch64": "echo launched by"}, capacity=10**6) as device:
        adb_server("connect", device.serial)

        def say(*words):
            return subprocess.run(["adb", "-s", device.serial, *words], capture_output=True, check=False, timeout=60)

        yield device, say
        adb_server("disconnect", device.serial)


def test_files_go_and_come_back(adb, tmp_path):
    _, say = adb
    (tmp_path / "x").write_bytes(os.urandom(300_000))
    assert say("push", str(tmp_path / "x"), "/data/local/tmp/sub/x").returncode == 0
    assert say("pull", "/data/local/tmp/sub/x", str(tmp_path / "y")).returncode == 0
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    assert b"x" in say("ls", "/data/local/tmp/sub").stdout


def test_what_it_has_not(adb, tmp_path):
    _, say = adb
    assert b"does not exist" in (done := say("pull", "/data/local/tmp/none", str(tmp_path / "y"))).stderr + done.stdout
    done = say("pull", "/../../../../../../etc/passwd", str(tmp_path / "y"))
    assert done.returncode and not (tmp_path / "y").exists()
    (tmp_path / "x").write_bytes(b"x")
    assert say("push", str(tmp_path / "x"), "/../../../../tmp/../escaped").returncode
    assert not os.path.lexists("/escaped")


def test_a_full_storage(adb, tmp_path):
    _, say = adb
    (tmp_path / "x").write_bytes(bytes(2_000_000))
    done = say("push", str(tmp_path / "x"), "/data/local/tmp/x")
    assert done.returncode and b"No space left on device" in done.stderr + done.stdout


def test_the_shell(adb):
    _, say = adb
    assert say("shell", "echo out; echo err >&2; exit 7").returncode == 7
    assert say("shell", "getprop | grep sdk").stdout == b"[ro.build.version.sdk]: [35]\n"
    assert say("shell", "cat", "/system/bin/getprop").returncode == 0
    assert say("exec-out", "printf 'a\\r\\n\\0b'").stdout == b"a\r\n\0b"
    assert subprocess.run([*say("version").args[:3], "shell", "cat"], input=b"in\n", capture_output=True, check=True).stdout == b"in\n"


@pytest.mark.parametrize("script", ["{}", "cd / && exec {} a", "( exec '{}' a )", "true; {} a", 'A=1; export A; "{}"'])
def test_programs_for_another_processor_are_launched(adb, script):
    device, say = adb
    program = device.place("/data/local/tmp/runner")
    program.write_bytes(ARM)
    program.chmod(0o755)
    said = say("shell", script.format("/data/local/tmp/runner")).stdout.decode()
    assert said.startswith(f"launched by {program}")


def test_other_programs_and_arguments_are_left_alone(adb):
    device, say = adb
    (device.place("/data/local/tmp") / "arm").write_bytes(ARM)
    assert say("shell", "echo /data/local/tmp/arm").stdout.decode() == f"{device.root}/data/local/tmp/arm\n"


@pytest.mark.parametrize("noise", [b"", b"GET / HTTP/1.0\r\n\r\n", bytes(24), b"\xff" * 5000, Message(CNXN, 0, 0).encode()[:-1]])
def test_noise_does_not_stop_it(adb, noise):
    device, say = adb
    with socket.create_connection(("127.0.0.1", device.port), 5) as connection:
        connection.sendall(noise)
    assert say("shell", "echo alive").stdout == b"alive\n"


def test_an_arm64_device_under_qemu(adb_server):  # noqa: F811
    from edgekit_runtimes.transports.qemu_user import TRANSPORT

    board = next(found for found in TRANSPORT.find() if found.address == "qemu:cortex-a76")
    if not board.ready:
        pytest.skip(f"{board.missing}: {board.next_step}")
    with opened("adb:loopback") as device:
        machine = device.machine()
        assert machine.architecture == "aarch64" and machine.cpu == "Cortex-A76" and "qemu-aarch64" in machine.emulator
        serial = device.address.place
    listed = subprocess.run(["adb", "devices"], capture_output=True, check=True, timeout=60).stdout.decode()
    assert serial not in listed
