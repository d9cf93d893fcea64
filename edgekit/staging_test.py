"""A folder appears whole or not at all, whatever happens."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edgekit import staging
from edgekit.errors import UsageError


def write(destination, text="new", **options):
    with staging.new_folder(destination, **options) as folder:
        (folder / "file").write_text(text)


def test_the_folder_appears_whole(tmp_path):
    write(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "file").read_text() == "new"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing(tmp_path, failure):
    with pytest.raises(failure), staging.new_folder(tmp_path / "a") as folder:
        (folder / "file").write_text("half")
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError, match="exists already"), staging.new_folder(tmp_path / "a"):
        pytest.fail("the block ran")


def test_only_what_may_be_replaced_is(tmp_path):
    write(tmp_path / "a", "old")
    with pytest.raises(UsageError, match="no artifact"):
        write(tmp_path / "a", replaceable=lambda path: False)
    assert (tmp_path / "a" / "file").read_text() == "old"
    write(tmp_path / "a", replaceable=lambda path: True)
    assert (tmp_path / "a" / "file").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_failure_keeps_the_folder_that_was_there(tmp_path):
    write(tmp_path / "a", "old")
    with pytest.raises(KeyboardInterrupt), staging.new_folder(tmp_path / "a", replaceable=lambda path: True):
        raise KeyboardInterrupt
    assert (tmp_path / "a" / "file").read_text() == "old"


def test_an_interrupt_while_replacing_puts_the_old_folder_back(tmp_path, monkeypatch):
    write(tmp_path / "a", "old")
    rename, calls = Path.rename, []

    def interrupted(self, target):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a", replaceable=lambda path: True)
    assert (tmp_path / "a" / "file").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_is_one_clear_error(tmp_path):
    with pytest.raises(UsageError, match="disk is full"), staging.new_folder(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_that_is_full_is_told(tmp_path):
    with pytest.raises(UsageError, match="disk is full"), staging.new_folder(tmp_path / "a"):
        Path("/dev/full").write_bytes(b"x" * 100_000)


def test_an_unwritable_place_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        write(tmp_path / "file" / "a")


def test_errors_of_other_files_pass_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), staging.new_folder(tmp_path / "a"):
        (tmp_path / "missing.npz").read_bytes()


def test_a_second_run_is_refused_while_the_first_writes(tmp_path):
    with (
        staging.new_folder(tmp_path / "a") as folder,
        pytest.raises(UsageError, match="another run"),
        staging.new_folder(tmp_path / "a"),
    ):
        pytest.fail("the block ran")
    assert not folder.exists()
    assert (tmp_path / "a").is_dir()


SLOW_WRITER = """
    import sys, time
    from pathlib import Path
    from edgekit import staging
    with staging.new_folder(Path(sys.argv[1])) as folder:
        (folder / "file").write_text("half")
        print("ready", flush=True)
        time.sleep(60)
"""


def slow_writer(destination):
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SLOW_WRITER), str(destination)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_in_another_process_leaves_nothing(tmp_path):
    process = slow_writer(tmp_path / "a")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals and locks")
def test_a_killed_run_blocks_no_one_and_is_swept(tmp_path):
    process = slow_writer(tmp_path / "a")
    with pytest.raises(UsageError, match="another run"):
        write(tmp_path / "a")
    process.kill()
    process.communicate()
    assert not (tmp_path / "a").exists()
    write(tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_write_file_replaces_in_one_step(tmp_path):
    path = tmp_path / "m.json"
    path.write_text("old")
    staging.write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


def test_write_file_keeps_the_old_content_on_failure(tmp_path, monkeypatch):
    path = tmp_path / "m.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(UsageError, match="disk is full"):
        staging.write_file(path, b"new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]
