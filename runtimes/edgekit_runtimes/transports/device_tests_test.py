"""``device_tests/`` is what users run on devices of theirs; here it runs on those that can be had without one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit_runtimes.transports.qemu_user import TRANSPORT as BOARDS

ROOT = Path(__file__).parents[3]


def run(*arguments, **options):
    command = [sys.executable, "-m", "pytest", "device_tests", "-o", "addopts=--import-mode=importlib -rs", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=500, **options)
    return done, {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)}


def test_without_a_device_it_says_how_to_attach_one():
    done, counts = run("device_tests/reachability_test.py")
    assert done.returncode == 0 and set(counts) == {"skipped"}
    assert "no device was named. Attach one" in done.stdout and "--device NAME" in done.stdout


@pytest.mark.slow
def test_devices_that_can_be_had_here_pass(android, board):
    emulated = next(found for found in BOARDS.find() if found.address == "qemu:cortex-a76").ready
    names = [board.address, "adb:loopback" if emulated else f"adb:{android.serial}"]
    done, counts = run(*(word for name in names for word in ("--device", name)))
    assert done.returncode == 0, done.stdout[-4000:]
    assert counts["passed"] >= 15 * len(names) and "failed" not in counts
    assert counts["skipped"] == len(names), "the cable is not pulled unattended"
