"""The command line's frame: exit codes, where output goes, what an error says, completion."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import edgekit
from edgekit import errors, progress, targets
from edgekit.cli import main
from edgekit.cli.bars import Phases, bars
from edgekit.cli.terminal import Terminal

ERRORS = [
    (errors.GateFailed("too inaccurate"), 1),
    (errors.UsageError("no such thing"), 2),
    (errors.LoadError("no such model"), 2),
    (errors.DataError("no such data"), 2),
    (errors.InvalidMeasurement("the machine was busy"), 3),
    (errors.DeviceUnavailable("no such device"), 4),
    (errors.ConversionError("cannot write it", op="aten.foo", shapes=[[1, 2]], module="layer3.conv"), 5),
    (errors.EdgekitError("of no kind"), 70),
]


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "edgekit" / "log"


def raising(monkeypatch, error):
    """Make `edgekit targets` fail, after some noise."""

    def fail(*_):
        print("python noise")
        os.write(1, b"native noise\n")
        os.write(2, b"native complaint\n")
        raise error

    monkeypatch.setattr(targets, "load_target", fail)


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda e: type(e).__name__ if isinstance(e, Exception) else str(e))
def test_errors_give_their_exit_code_and_say_everything(monkeypatch, capfd, error, code):
    raising(monkeypatch, error)
    assert main(["targets"]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert str(error) in err.replace("error: ", "", 1)
    assert "Traceback" not in err


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda e: type(e).__name__ if isinstance(e, Exception) else str(e))
def test_json_errors_are_alone_on_stdout(monkeypatch, capfd, error, code):
    raising(monkeypatch, error)
    assert main(["targets", "--json"]) == code
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == "edgekit.error/1"
    assert document["error"]["exit_code"] == code
    assert document["error"]["message"] == error.message
    assert document["error"]["module"] == error.module


def test_an_internal_error_points_at_its_log(monkeypatch, capfd, state):
    raising(monkeypatch, ZeroDivisionError("oh"))
    assert main(["targets"]) == 70
    out, err = capfd.readouterr()
    (log,) = state.glob("*.log")
    text = log.read_text()
    assert str(log) in err and "ZeroDivisionError: oh" in err and "doctor" in err
    assert "noise" not in out + err and "Traceback" not in err
    assert "Traceback" in text and all(noise in text for noise in ("python noise", "native noise", "native complaint"))


def test_a_missing_package_is_not_a_defect(monkeypatch, capfd):
    raising(monkeypatch, ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert main(["targets"]) == 2
    err = capfd.readouterr().err
    assert "package 'torch'" in err and "edgekit doctor" in err


def test_debug_shows_what_the_log_would_hold(monkeypatch, capfd, state):
    raising(monkeypatch, ZeroDivisionError("oh"))
    assert main(["targets", "--debug"]) == 70
    out, err = capfd.readouterr()
    assert "python noise" in out and "native complaint" in err and "Traceback" in err
    assert not list(state.glob("*.log"))


def test_a_quiet_success_leaves_no_log(capfd, state):
    assert main(["targets"]) == 0
    assert "android" in capfd.readouterr().out
    assert not list(state.glob("*.log"))


def test_old_logs_are_removed(monkeypatch, state):
    state.mkdir(parents=True)
    for number in range(30):
        (state / f"20200101-0000{number:02}-convert-1.log").write_text("old")
    raising(monkeypatch, ZeroDivisionError())
    main(["targets"])
    kept = sorted(p.name for p in state.glob("*.log"))
    assert len(kept) == 21 and kept[0].startswith("20200101-000010")


def test_without_a_place_for_logs_the_temporary_folder_serves(monkeypatch, capfd, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert main(["targets"]) == 0


@pytest.mark.parametrize("arguments", [["targets"], ["recipes"], ["doctor"], ["completion", "bash"]])
def test_json_is_one_versioned_document(capfd, arguments):
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == f"edgekit.{arguments[0]}/1"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["convrt"], "did you mean 'convert'?"),
        (["convert"], "MODEL"),
        (["convert", "m.keras", "--dim", "x=3"], "NAME:AXIS=SIZE"),
        (["convert", "m.keras", "--mean", "a,b"], "comma-separated"),
        (["convert", "m.keras", "--no-such-option"], "--no-such-option"),
        (["targets", "nope"], "unknown target 'nope'"),
        (["targets", "andriod"], "did you mean 'android'?"),
        (["recipes", "palletize8"], "did you mean 'palettize8'?"),
        (["recipes", "nope"], "unknown recipe 'nope'"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_accepted(capfd, arguments, says):
    assert main(arguments) == 2
    assert says in capfd.readouterr().err
    assert main([*arguments, "--json"]) == 2
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == "edgekit.error/1" and document["error"]["exit_code"] == 2


def test_doctor_names_the_command_that_installs_what_is_missing(capfd, monkeypatch):
    from importlib import metadata

    def version(name, real=metadata.version):
        if name in ("ai-edge-litert", "flatbuffers"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    assert main(["doctor"]) == 4
    out = capfd.readouterr().out
    assert "pip install 'edgekit[litert]'" in out and "not ready" in out


def test_recipes_print_toml_that_reads_back(capfd, tmp_path):
    from edgekit.recipe import Recipe
    from edgekit.recipes import load_recipe

    assert main(["recipes", "int16x8"]) == 0
    assert Recipe.from_toml(capfd.readouterr().out) == load_recipe("int16x8")


def offered(words, position, capfd, monkeypatch):
    monkeypatch.setenv("_EDGEKIT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(position))
    with pytest.raises(SystemExit):
        main([])
    return [line.partition(",")[2] for line in capfd.readouterr().out.splitlines()]


def test_completion_offers_targets_and_recipes(capfd, monkeypatch):
    assert "android" in offered("edgekit convert m --target a", 4, capfd, monkeypatch)
    assert {"int8", "int16x8"} <= set(offered("edgekit convert m --recipe int", 4, capfd, monkeypatch))
    assert "profile" in offered("edgekit pro", 1, capfd, monkeypatch)


def test_completion_offers_passes_devices_and_files(capfd, monkeypatch):
    assert "prune_channels" in offered("edgekit recipes pru", 2, capfd, monkeypatch)
    assert "host" in offered("edgekit profile m --on ho", 4, capfd, monkeypatch)
    for words in (
        "convert mod",
        "verify mod",
        "profile mod",
        "explain mod",
        "debug mod",
        "compare mod",
        "convert m -c mod",
        "convert m --recover mod",
    ):
        assert offered(f"edgekit {words}", len(words.split()), capfd, monkeypatch) == ["mod"], "the shell's own files"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_clear_error():
    code = "from edgekit.cli import script; script()"
    with Path("/dev/full").open("w") as full:
        result = subprocess.run([sys.executable, "-c", code, "targets"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr.splitlines()[0]) == (2, "error: the disk is full")


def test_a_closed_pipe_ends_the_command_quietly():
    code = "from edgekit.cli import script; script()"
    process = subprocess.Popen([sys.executable, "-c", code, "recipes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


SLEEPER = """
import time
from edgekit import targets
from edgekit.cli import main
def slow(*_):
    print("asleep", flush=True)
    open({ready!r}, "w").close()
    time.sleep(60)
targets.load_target = slow
raise SystemExit(main(["targets"]))
"""


def test_ctrl_c_exits_with_130_and_one_line(tmp_path):
    ready = tmp_path / "ready"
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER.format(ready=str(ready))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not ready.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "interrupted")


def terminal(stream):
    return Terminal(sys.stdout, stream, None)


def everything(terminal_end: int) -> str:
    """What was written to a pseudo-terminal whose other end is closed: one read gives a part of it at most."""
    parts = []
    with suppress(OSError), os.fdopen(terminal_end, "rb", buffering=0) as stream:  # Linux ends it with EIO
        while part := stream.read(65536):
            parts.append(part)
    return b"".join(parts).decode()


def test_bars_are_drawn_on_a_terminal_and_vanish():
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as stream, bars(terminal(stream), "starting"):
        list(progress.track("calibrating", range(3)))
        time.sleep(0.2)
    drawn = everything(reader)
    assert "starting" in drawn and "calibrating" in drawn
    assert drawn.rstrip().endswith(("\x1b[2K", "\x1b[?25h", "\x1b[1A\x1b[2K"))


def test_nothing_is_drawn_elsewhere(tmp_path):
    with (tmp_path / "err").open("w") as stream, bars(terminal(stream), "starting") as phases:
        list(progress.track("calibrating", range(3)))
    assert (tmp_path / "err").read_text() == ""
    assert list(phases.seconds) == ["starting", "calibrating"]


def test_phases_add_up():
    phases = Phases()
    phases.begin("one")
    phases.begin("two")
    phases.begin("one")
    phases.end()
    assert list(phases.seconds) == ["one", "two"]


def test_the_version_is_the_package_s():
    from importlib.metadata import version

    assert version("edgekit") == edgekit.__version__
