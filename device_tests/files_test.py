"""What is sent arrives, is sent once, and does not stay."""

import random
import time

import pytest

from edgekit.errors import DeviceFailed


@pytest.mark.parametrize("size", [0, 1, 4095, 65_537, 2_000_003])
def test_files_arrive_and_come_back_as_they_are(files, tmp_path, size):
    file = tmp_path / f"{size}.bin"
    file.write_bytes(random.Random(size).randbytes(size))
    files.pull(files.push(file), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_nothing_is_sent_twice(files, tmp_path):
    file = tmp_path / "model.bin"
    file.write_bytes(random.Random(1).randbytes(8_000_000))
    durations = []
    for _ in range(2):
        start = time.perf_counter()
        path = files.push(file)
        durations.append(time.perf_counter() - start)
    assert files.push(file) == path
    if str(files.address) != "host":
        print(f"first {durations[0]:.2f} s, again {durations[1]:.2f} s")


def test_a_program_that_hangs_is_ended(files):
    with pytest.raises(DeviceFailed, match="no end within"):
        files.run(["sleep", "3600"], timeout=1)
    assert files.run(["echo", "alive"]).stdout.strip() == b"alive"


def test_scratch_folders_go(files):
    with files.scratch() as folder:
        assert files.run(["ls", folder]).exit_code == 0
    assert files.run(["ls", folder]).exit_code != 0


def test_cleaning_leaves_nothing_and_all_works_again(files, tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"x" * 10_000)
    files.push(file)
    files.clean()
    assert files.cached_bytes() == 0
    files.pull(files.push(file), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
