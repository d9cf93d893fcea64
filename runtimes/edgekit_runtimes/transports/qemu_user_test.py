"""Emulated boards: which emulators are taken, and what becomes of programs that fail in one."""

import subprocess

import pytest

from edgekit.devices import Address, opened
from edgekit.errors import DeviceFailed, DeviceUnavailable, UsageError
from edgekit_runtimes import _debian
from edgekit_runtimes.transports import _qemu, qemu_user
from edgekit_runtimes.transports._qemu import qemu


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Puts a ``qemu-aarch64`` that says this into an otherwise empty search path."""

    def put(version, helped="-plugin  QEMU_PLUGIN  [file=]<file>"):
        path = tmp_path / "qemu-aarch64"
        path.write_text(f"#!/bin/sh\ncase $1 in --version) echo '{version}';; --help) echo '{helped}';; esac\n")
        path.chmod(0o755)

    monkeypatch.setattr(_qemu._debian, "find", lambda name: str(tmp_path / name) if (tmp_path / name).exists() else None)
    _qemu._ask.cache_clear()
    return put


def test_the_series_it_was_made_for_is_taken(fake):
    fake("qemu-aarch64 version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)")
    assert str(qemu("qemu-aarch64", "qemu-user")) == "qemu-aarch64 7.2.22"


@pytest.mark.parametrize(
    ("version", "helped", "said"),
    [
        ("qemu-aarch64 version 10.0.2 (Debian)", "-plugin", "is version 10.0.2"),
        ("qemu-aarch64 version 7.1.0", "-plugin", "is version 7.1.0"),
        ("something else", "-plugin", "is version unknown"),
        ("qemu-aarch64 version 7.2.22", "-cpu", "was built without plugins"),
    ],
    ids=["newer", "older", "no version", "static"],
)
def test_other_emulators_are_refused_with_what_helps(fake, version, helped, said):
    fake(version, helped)
    with pytest.raises(DeviceUnavailable, match=said) as caught:
        qemu("qemu-aarch64", "qemu-user")
    assert "apt-get install --no-install-recommends qemu-user" in caught.value.next_step


def test_a_missing_emulator_is_told(fake):
    with pytest.raises(DeviceUnavailable, match="qemu-aarch64 is not installed") as caught:
        qemu("qemu-aarch64", "qemu-user")
    assert "make setup-emulators" in caught.value.next_step


@pytest.mark.parametrize("cpu", ["max", "a64fx", "cortex-a99", "../../etc"])
def test_processors_that_are_none_or_compute_wrong_are_refused(cpu):
    with pytest.raises(UsageError, match="no emulated board is called") as caught:
        qemu_user.TRANSPORT.open(Address("qemu", cpu))
    assert "qemu:cortex-a76" in caught.value.accepted


def test_boards_are_listed_with_what_they_lack(monkeypatch):
    listed = list(qemu_user.TRANSPORT.find())
    assert {"qemu:cortex-a53", "qemu:cortex-a76"} <= {f.address for f in listed} and all(f.emulated for f in listed)
    monkeypatch.setattr(_debian, "find", lambda name: None)
    absent = list(qemu_user.TRANSPORT.find())
    assert not any(f.ready for f in absent)
    assert all("qemu-user" in f.missing and "apt-get install" in f.next_step for f in absent)


@pytest.fixture(scope="module")
def device():
    if any(tool.use.startswith("arm64") for tool in _debian.missing()):
        pytest.skip("qemu-user or the arm64 compiler is missing: make setup-emulators")
    try:
        with opened("qemu:cortex-a53") as board:
            yield board
    except DeviceUnavailable as unavailable:
        pytest.skip(f"{unavailable.message}: {unavailable.next_step}")


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    def make(body: str, compiler: str = "aarch64-linux-gnu-gcc"):
        folder = tmp_path_factory.mktemp("program")
        includes = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n"
        (folder / "p.c").write_text(f"{includes}\nint main(int c, char **v) {{ (void)c, (void)v; {body} }}\n")
        subprocess.run([compiler, str(folder / "p.c"), "-o", str(folder / "p")], check=True)
        return folder / "p"

    return make


def test_programs_see_the_emulated_processor_and_nothing_of_ours(device, build, monkeypatch):
    monkeypatch.setenv("EDGEKIT_SECRET", "x")
    program = build(
        'extern char **environ; for (char **e = environ; *e; e++) puts(*e); printf("%ld\\n", sysconf(_SC_NPROCESSORS_CONF));'
        'char line[99]; FILE *f = fopen("/proc/cpuinfo", "r"); while (fgets(line, 99, f)) if (strstr(line, "part")) puts(line); return 7;'
    )
    done = device.run([device.push(program, executable=True)], environment={"MINE": "a b"})
    words = done.stdout.decode().split()
    assert done.exit_code == 7 and words == ["MINE=a", "b", "1", "CPU", "part", ":", "0xd03"]


def test_a_crash_there_is_told_and_harms_nothing_here(device, build):
    done = device.run([device.push(build("return *(volatile int *)8;"), executable=True)])
    assert done.exit_code == 139 and done.reason.startswith("SIGSEGV")


def test_a_hang_there_is_ended(device, build):
    program = device.push(build("for (;;) {}"), executable=True)
    with pytest.raises(DeviceFailed, match="hung on qemu:cortex-a53"):
        device.run([program], timeout=0.5)
    with device.scratch() as folder, pytest.raises(DeviceFailed, match="hung"):
        device.count([program], folder=folder, timeout=0.5)


def test_a_program_for_another_processor_is_refused(device, build):
    with pytest.raises(DeviceFailed, match="built for x86_64, the device is aarch64"):
        device.push(build("return 0;", "gcc"), executable=True)


def test_a_program_that_sets_no_marks_has_none(device, build):
    with device.scratch() as folder:
        done, marks = device.count([device.push(build("return 3;"), executable=True)], folder=folder, timeout=60)
    assert done.exit_code == 3 and marks == ()


def test_what_it_says_of_itself_is_the_boards(device):
    machine = device.machine()
    assert (machine.cpu, machine.architecture, machine.cores) == ("cortex-a53", "aarch64", 1)
    assert machine.emulator.startswith("qemu-aarch64 7.2.") and "libc6" in machine.versions
