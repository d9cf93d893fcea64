"""What every transport with processes promises, held against each that can be had on this machine."""

import hashlib
import os
import random
import sys

import pytest

from edgekit.devices import opened
from edgekit.errors import DeviceFailed, DeviceUnavailable, UsageError
from edgekit.testing.processes import own_argument, running, wait_until
from edgekit_runtimes.transports import _posix

KINDS = ["host", "adb", "ssh"]
NASTY = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "$HOME",
    "`id`",
    "\\",
    "*",
    "a\nb",
    "-n",
    "--",
    ";",
    "&& false",
    "ü→漢",
    "\x01\x7f",
    "~",
    "!x",
    "#",
    "%s",
    "x=y",
]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def python(*lines):
    return [sys.executable, "-c", "\n".join(lines)]


def test_arguments_arrive_as_they_are(device):
    done = device.run(["printf", "%s\\0", *NASTY])
    assert done.stdout.decode().split("\0")[:-1] == NASTY
    assert done.exit_code == 0 and done.stderr == b""


def test_environment_and_folder_arrive_as_they_are(device):
    value = "a 'b' \"c\" $d\n`e`"
    with device.scratch() as folder:
        done = device.run(
            python("import os", "print(os.getcwd()); print(repr(os.environ['EK_X']))"), folder=folder, environment={"EK_X": value}
        )
    where, got = done.stdout.decode().splitlines()
    assert got == repr(value) and where.endswith(folder.rpartition("/")[2])


def test_bytes_are_not_changed_and_streams_stay_apart(device):
    code = ("import sys", "sys.stdout.buffer.write(bytes(range(256)) * 300)", "sys.stderr.buffer.write(b'\\r\\n\\0\\xff')")
    done = device.run(python(*code))
    assert done.stdout == bytes(range(256)) * 300
    assert done.stderr == b"\r\n\0\xff"


@pytest.mark.parametrize("code", [0, 1, 7, 126, 255])
def test_exit_codes(device, code):
    assert device.run(["sh", "-c", f"exit {code}"]).exit_code == code


def test_a_segfault_is_told_as_such(device):
    done = device.run(["sh", "-c", "kill -SEGV $$"])
    assert done.exit_code == 139 and "SIGSEGV" in done.reason
    with pytest.raises(DeviceFailed, match=r"the runner failed on the device: SIGSEGV"):
        done.require("the runner")


def test_a_program_that_is_not_there(device):
    done = device.run(["no-such-program-here"])
    assert done.exit_code == 127 and "not found" in done.reason


def test_a_program_reads_nothing(device):
    assert device.run(["cat"]).stdout == b""


def test_a_hang_is_ended_with_all_it_started(device):
    mark = own_argument()
    with pytest.raises(DeviceFailed, match="no end within"):
        device.run(["sh", "-c", f"sleep {mark} & sleep {mark}; :"], timeout=0.5)
    wait_until(lambda: not running(mark))
    assert device.run(["echo", "alive"]).stdout == b"alive\n"


def test_letting_go_ends_what_runs(request, kind):
    import threading

    mark, told = own_argument(), []
    with opened(request.getfixturevalue(f"{kind}_address")) as device:

        def work():
            with pytest.raises(DeviceUnavailable):
                device.run(["sh", "-c", f"sleep {mark} & sleep {mark}; :"], timeout=60)
            told.append(True)

        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: running(mark))
        device.close()
        thread.join(60)
    assert told
    wait_until(lambda: not running(mark))


def test_too_much_output_is_refused(device, monkeypatch):
    with pytest.raises(DeviceFailed, match="printed more than"):
        device._execute("yes", ("yes",), 60, limit=100_000)
    assert device.run(["echo", "alive"]).stdout == b"alive\n"


def test_what_is_pushed_comes_back(device, tmp_path):
    file = tmp_path / "a model.tflite"
    file.write_bytes(random.Random(0).randbytes(300_001))
    path = device.push(file)
    device.pull(path, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_nothing_is_pushed_twice(request, kind, tmp_path):
    if kind == "host":
        pytest.skip("nothing is pushed to this machine")
    file = tmp_path / "model.bin"
    file.write_bytes(os.urandom(1000))
    address, sent = request.getfixturevalue(f"{kind}_address"), []
    for _ in range(2):
        with opened(address) as device:
            send = device._line.send
            device._line.send = lambda *a, send=send, **k: (sent.append(a), send(*a, **k))[1]
            first, second = device.push(file), device.push(file)
            assert first == second and hashlib.sha256(file.read_bytes()).hexdigest() in first
    assert len(sent) == 1


def test_a_damaged_copy_is_sent_again(request, kind, tmp_path):
    if kind == "host":
        pytest.skip("nothing is pushed to this machine")
    file = tmp_path / "model.bin"
    file.write_bytes(b"x" * 1000)
    address = request.getfixturevalue(f"{kind}_address")
    with opened(address) as device:
        path = device.push(file)
        device.run(["sh", "-c", 'printf %01000d 0 >"$1"', "sh", path]).require("damaging")
    with opened(address) as device:
        device.pull(device.push(file), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_pushed_programs_run(device, tmp_path):
    program = tmp_path / "hello"
    program.write_text('#!/bin/sh\necho "hello $1"\n')
    program.chmod(0o755)
    assert device.run([device.push(program, executable=True), "you"]).stdout == b"hello you\n"


@pytest.mark.parametrize("machine", [183, 243])
def test_a_program_for_another_processor_is_refused_before_it_is_sent(device, tmp_path, machine):
    program = tmp_path / "foreign"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + (2).to_bytes(2, "little") + machine.to_bytes(2, "little") + bytes(100))
    with pytest.raises(DeviceFailed, match="is built for"):
        device.push(program, executable=True)


def test_scratch_folders_are_gone_afterwards(device):
    with pytest.raises(ZeroDivisionError), device.scratch() as folder:
        device.run(["touch", f"{folder}/x"]).require("touching")
        raise ZeroDivisionError
    assert device.run(["test", "-e", folder]).exit_code == 1


def test_cleaning_leaves_nothing(request, kind, tmp_path):
    if kind == "host":
        pytest.skip("nothing is pushed to this machine")
    file = tmp_path / "model.bin"
    file.write_bytes(os.urandom(20_000))
    with opened(request.getfixturevalue(f"{kind}_address")) as device:
        device.push(file)
        assert device.cached_bytes() >= 20_000
        assert device.clean() >= 20_000
        assert device.cached_bytes() == 0
        assert device.run(["test", "-e", device.cache]).exit_code == 1
        device.push(file)  # and it works as before
        assert device.clean() >= 20_000


def test_a_file_that_is_missing_or_too_long_is_not_fetched(device, tmp_path):
    with pytest.raises(DeviceFailed, match="cannot fetch"):
        device.pull("/no/such/file", tmp_path / "back")
    long = tmp_path / "long"
    long.write_bytes(bytes(5000))
    with pytest.raises(DeviceFailed, match="more than 1000 bytes"):
        device.pull(device.push(long), tmp_path / "back", limit=1000)
    assert not (tmp_path / "back").exists()


def test_facts(device):
    machine, state = device.machine(), device.state()
    assert machine.architecture == os.uname().machine and machine.threads >= 1 and machine.memory_bytes > 10**8
    assert machine.cpu not in ("", "unknown") and "Linux" in machine.system and machine.emulator is None
    assert 0 < state.at <= device.state().at and state.memory_available_bytes > 0 and state.busy_seconds > 0
    assert type(machine).from_json(machine.to_json()) == machine


@pytest.mark.parametrize(
    ("argv", "environment"), [([], {}), ([""], {}), (["a\0b"], {}), (["true"], {"A-B": "x"}), (["true"], {"A": "\0"})], ids=str
)
def test_what_no_program_can_be_given_is_refused(device, argv, environment):
    with pytest.raises(UsageError):
        device.run(argv, environment=environment)


@pytest.mark.slow
def test_a_real_ssh_server_is_no_different(openssh_address, tmp_path):
    file, mark = tmp_path / "model.bin", own_argument()
    file.write_bytes(random.Random(0).randbytes(100_000))
    with opened(openssh_address) as device:
        assert device.run(["printf", "%s\\0", *NASTY]).stdout.decode().split("\0")[:-1] == NASTY
        assert device.run(["sh", "-c", "kill -SEGV $$"]).exit_code == 139
        device.pull(device.push(file), tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == file.read_bytes()
        with pytest.raises(DeviceFailed, match="no end within"):
            device.run(["sh", "-c", f"sleep {mark} & sleep {mark}; :"], timeout=0.5)
        wait_until(lambda: not running(mark))
        assert device.clean() >= 100_000


def test_full_storage_is_told_as_such(device):
    with pytest.raises(_posix.DeviceFull, match="full"):
        device._shell("echo 'sh: write error: No space left on device' >&2; exit 1")
