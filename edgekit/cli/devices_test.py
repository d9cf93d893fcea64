"""`edgekit devices` and `edgekit profile --on`, as a user and as a script read them."""

import json

import pytest

from edgekit import devices, schemas
from edgekit.cli.app import run
from edgekit.devices import Address, DeviceState, Found
from edgekit.errors import DeviceLost, DeviceUnavailable
from edgekit.profiling import everywhere
from edgekit.profiling.everywhere import Measured
from edgekit.profiling.measuring import profile
from edgekit.testing.counted import counted_profile
from edgekit.testing.scripted_device import ScriptedDevice, ScriptedEngine, scripted
from edgekit.testing.scripted_runtime import launch, noisy

FOUND = [
    Found("adb:X", "Pixel 8"),
    Found("qemu:cortex-a53", "emulated arm64 board", False, True, "the package qemu-user is not installed", "apt-get install qemu-user"),
    Found("qemu:cortex-a76", "emulated arm64 board", False, True, "the package qemu-user is not installed", "apt-get install qemu-user"),
]


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(devices, "find", lambda: iter(FOUND))


def test_the_list(few, capfd):
    assert run(["devices"]) == 0
    out = capfd.readouterr().out
    assert "adb:X" in out and "Pixel 8" in out
    assert out.count("apt-get install qemu-user") == 1, "what several lack is said once"
    assert "qemu:cortex-a53, qemu:cortex-a76: the package qemu-user is not installed" in out


def test_the_list_as_data(few, capfd):
    assert run(["devices", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == "edgekit.devices/1" and document["devices"][1]["next_step"] == "apt-get install qemu-user"
    assert [d["ready"] for d in document["devices"]] == [True, False, False]


def test_facts(capfd):
    with scripted({"board": ScriptedDevice(Address("ssh", "board"), (DeviceState(clock_mhz=1500.0, governor="schedutil", at=1.0),))}):
        assert run(["devices", "show", "ssh:board"]) == 0
        out = capfd.readouterr().out
        assert "Cortex-A76 (aarch64), 4 cores" in out and "1500 MHz, governor schedutil" in out
        assert run(["devices", "show", "ssh:board", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["devices"][0]["machine"]["cpu"] == "Cortex-A76"


def test_cleaning_tells_what_it_did_and_what_it_could_not(capfd):
    board = ScriptedDevice(Address("ssh", "board"))
    board.clean = lambda: 12_000_000
    with scripted({"board": board, "away": DeviceUnavailable("nobody answers", next_step="switch it on")}):
        assert run(["devices", "clean", "ssh:board", "ssh:away"]) == 4
    out = capfd.readouterr().out
    assert "ssh:board: 12 MB removed" in out and "ssh:away: not cleaned: nobody answers" in out


def test_facts_of_nothing(capfd):
    assert run(["devices", "show"]) == 2


@pytest.fixture
def results(tmp_path, monkeypatch):
    """What four devices give: a good profile, one of a device that was lost, counts, and nothing."""
    model = tmp_path / "model.tflite"
    model.write_bytes(b"not looked at")
    steady = [launch(noisy(100_000, seed)) for seed in range(5)]
    measured = {}
    for name, launches in (("good", steady), ("lossy", [steady[0], DeviceLost("unplugged")])):
        with scripted({name: ScriptedDevice(Address("ssh", name))}), monkeypatch.context() as patch:
            ticks = iter(range(0, 10**6, 10))
            patch.setattr("time.perf_counter", lambda ticks=ticks: float(next(ticks)))
            measured[name] = Measured(f"ssh:{name}", profile(model, runtime=ScriptedEngine(launches), on=f"ssh:{name}"))
    measured["counted"] = Measured("qemu:cortex-m4", counted_profile())
    measured["away"] = Measured("ssh:away", error=DeviceUnavailable("nobody answers", next_step="switch it on"))
    return measured


@pytest.mark.parametrize(
    ("wanted", "code"), [(["good", "counted"], 0), (["good", "lossy"], 4), (["good", "away"], 4), (["lossy", "away", "counted"], 4)]
)
def test_several(results, monkeypatch, tmp_path, capfd, *, wanted, code):
    chosen = [results[name] for name in wanted]
    monkeypatch.setattr(everywhere, "profile_each", lambda model, names, **options: iter(chosen))
    arguments = [word for measured in chosen for word in ("--on", measured.on)]
    assert run(["profile", "model", *arguments, "--out", str(tmp_path / "p.json")]) == code
    out = capfd.readouterr().out
    assert all(f"on {measured.on}" in out for measured in chosen)
    assert ("a count, no time" in out) == ("counted" in wanted)
    assert ("because unplugged" in out) == ("lossy" in wanted)
    assert ("no result: nobody answers" in out) == ("away" in wanted)
    assert len(list(tmp_path.glob("p-*.json"))) == sum(measured.profile is not None for measured in chosen)


def test_several_as_data(results, monkeypatch, capfd):
    monkeypatch.setattr(everywhere, "profile_each", lambda model, names, **options: iter(results.values()))
    assert run(["profile", "model", "--on", "ssh:good", "--on", "ssh:away", "--json"]) == 4
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == "edgekit.profiles/1"
    schemas.validate(document, "profiles-1", "stdout")
    for found in (p["profile"] for p in document["profiles"] if p["profile"]):
        schemas.validate(found, "profile-1", "stdout")
    assert [p["error"] and p["error"]["type"] for p in document["profiles"]] == [None, None, None, "DeviceUnavailable"]
    assert document["profiles"][1]["profile"]["partial"] is True
