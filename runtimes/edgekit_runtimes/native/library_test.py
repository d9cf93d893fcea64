import base64
import hashlib
import zipfile

import pytest

from edgekit.errors import DeviceUnavailable, UsageError
from edgekit_runtimes.native import library as module
from edgekit_runtimes.native.library import NAME, library


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EDGEKIT_LITERT_AARCH64", raising=False)
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")


def wheel(folder, content=b"library", recorded=None):
    digest = base64.urlsafe_b64encode(hashlib.sha256(content if recorded is None else recorded).digest()).rstrip(b"=").decode()
    with zipfile.ZipFile(folder / "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl", "w") as archive:
        archive.writestr(f"ai_edge_litert/{NAME}", content)
        archive.writestr("ai_edge_litert/libLiteRtWebGpuAccelerator.so", b"left out")
        archive.writestr("ai_edge_litert-2.3.0.dist-info/RECORD", f"ai_edge_litert/{NAME},sha256={digest},7\n")


def fetching(monkeypatch, act):
    """Answer pip's command with `act(command, folder)`; returns the commands."""
    commands = []

    def run(command, wanted, architecture):
        commands.append(command)
        act(command, module.Path(command[command.index("--dest") + 1]))

    monkeypatch.setattr(module, "_run", run)
    return commands


def test_this_machines_own_is_copied_away_from_its_neighbours():
    path = library("x86_64")
    assert [p.name for p in path.parent.iterdir()] == [NAME] and path.stat().st_size > 1_000_000


def test_anothers_is_fetched_once_for_the_same_version_and_alone(monkeypatch):
    commands = fetching(monkeypatch, lambda command, folder: wheel(folder))
    first, again = library("aarch64"), library("aarch64")
    assert first == again and first.read_bytes() == b"library" and [p.name for p in first.parent.iterdir()] == [NAME]
    (command,) = commands
    assert command[-1] == f"ai-edge-litert=={module.version()}" and "--only-binary=:all:" in command and "--no-deps" in command


def test_a_damaged_wheel_is_refused_and_not_kept(monkeypatch):
    fetching(monkeypatch, lambda command, folder: wheel(folder, recorded=b"other"))
    with pytest.raises(DeviceUnavailable, match="damaged"):
        library("aarch64")
    fetching(monkeypatch, lambda command, folder: wheel(folder))
    assert library("aarch64").read_bytes() == b"library"


def test_without_a_network_it_says_what_helps(monkeypatch):
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    with pytest.raises(DeviceUnavailable, match="pip cannot fetch ai-edge-litert==") as caught:
        library("aarch64")
    assert "EDGEKIT_LITERT_AARCH64" in caught.value.next_step


def test_a_file_of_the_users_own_is_taken(monkeypatch, tmp_path):
    own = tmp_path / "own.so"
    monkeypatch.setenv("EDGEKIT_LITERT_AARCH64", str(own))
    with pytest.raises(UsageError, match="names no file"):
        library("aarch64")
    own.touch()
    assert library("aarch64") == own


def test_processors_without_a_wheel_are_refused():
    with pytest.raises(UsageError, match="riscv64"):
        library("riscv64")
