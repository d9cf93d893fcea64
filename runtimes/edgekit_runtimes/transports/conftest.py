"""Devices to test transports on. None leaves this machine."""

import shutil
import socket
import subprocess

import pytest

from edgekit.devices import opened
from edgekit.testing.ssh_server import SshBoard, openssh
from edgekit_runtimes import _cache
from edgekit_runtimes.transports._loopback import LoopbackDevice


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory):
    """An adb server of the tests' own, away from the user's."""
    if shutil.which("adb") is None:
        pytest.skip("no adb here: apt-get install adb")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", port)
        patch.setenv("EDGEKIT_CACHE", str(_cache.folder()))  # programs and systems made earlier stay in reach of another home
        patch.setenv("HOME", str(tmp_path_factory.mktemp("adb-home")))
        patch.delenv("ANDROID_SERIAL", raising=False)
        yield lambda *words: subprocess.run(["adb", *words], capture_output=True, check=False, timeout=60).stdout.decode()
        subprocess.run(["adb", "kill-server"], capture_output=True, check=False, timeout=60)


@pytest.fixture
def android(adb_server, tmp_path):
    """An emulated Android device that adb knows, running this machine's programs."""
    with LoopbackDevice(tmp_path / "android") as device:
        adb_server("connect", device.serial)
        yield device
        adb_server("disconnect", device.serial)


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A board behind asyncssh's server."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("EDGEKIT_CACHE", str(_cache.folder()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with SshBoard(tmp_path / "home") as made:
        yield made


@pytest.fixture
def device(request, kind):
    """An opened device of the kind."""
    with opened(request.getfixturevalue(f"{kind}_address")) as made:
        yield made


@pytest.fixture
def host_address():
    return "host"


@pytest.fixture
def adb_address(android):
    return f"adb:{android.serial}"


@pytest.fixture
def ssh_address(board):
    return board.address


@pytest.fixture
def openssh_address(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with openssh(tmp_path / "home") as address:
        yield address
