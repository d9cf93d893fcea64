"""The connection ends in the middle of a run: it is told, and nothing runs on."""

import random
import threading
import time

import pytest

from edgekit.devices import opened
from edgekit.errors import DeviceUnavailable


def running(device, mark):
    """Whether a process with this argument runs there."""
    script = 'for f in /proc/[0-9]*/cmdline; do case "$(tr "\\0" " " <"$f" 2>/dev/null)" in "sleep $1 ") echo "$f";; esac; done'
    return bool(device.run(["sh", "-c", script, "sh", mark]).stdout.strip())


def test_what_runs_ends_with_the_connection(files):
    mark, told = str(random.SystemRandom().randrange(10**7, 10**8)), []
    if files.run(["sh", "-c", "ls /proc/self/cmdline"]).exit_code:
        pytest.skip("the device shows no processes")

    def work():
        try:
            files.run(["sleep", mark], timeout=300)
        except DeviceUnavailable as error:
            told.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: running(files, mark))
    files._line.interrupt()
    thread.join(60)
    assert told, "the run was told that its connection is gone"
    wait_until(lambda: not running(files, mark))


def test_the_cable_is_pulled(request, files, name):
    if not request.config.getoption("--unplug"):
        pytest.skip("attended: --unplug asks for the cable to be pulled")
    mark = str(random.SystemRandom().randrange(10**7, 10**8))
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nunplug {name} now (within 60 s) …", flush=True)
        with pytest.raises(DeviceUnavailable):
            files.run(["sleep", mark], timeout=60)
        print("plug it in again …", flush=True)
        wait_until(lambda: reached(name), 120)
    with opened(name) as again:
        wait_until(lambda: not running(again, mark))


def reached(name):
    try:
        with opened(name) as device:
            return device.run(["true"]).exit_code == 0
    except DeviceUnavailable:
        return False


def wait_until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)
