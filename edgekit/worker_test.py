"""Whatever native code does, the caller lives and says what happened."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import numpy as np
import pytest

from edgekit import worker
from edgekit.errors import ConversionError, DataError
from edgekit.testing.processes import ended, wait_until

JOBS = """
import ctypes, os, signal, sys, time
import numpy as np
from edgekit.errors import ConversionError, DataError

class PluginError(DataError):
    pass

def double(arguments, arrays, folder):
    print("chatter")
    return {"got": arguments, "torch": "torch" in sys.modules}, {k: v * 2 for k, v in arrays.items()}

def refuse(arguments, arrays, folder):
    raise ConversionError("no", op="aten.x", shapes=[(1, 2)], module="a.b", accepted=["y"], next_step="z")

def refuse_own(arguments, arrays, folder):
    raise PluginError("no")

def stumble(arguments, arrays, folder):
    raise ValueError("vendor trouble")

def abort(arguments, arrays, folder):
    sys.stderr.write("F0000 no_integer_overflow_from_quantization was not true.\\n")
    sys.stderr.flush()
    os.abort()

def segfault(arguments, arrays, folder):
    ctypes.string_at(0)

def starve(arguments, arrays, folder):
    os.kill(os.getpid(), signal.SIGKILL)

def leave(arguments, arrays, folder):
    os._exit(0)

def hang(arguments, arrays, folder):
    if "pid" in arguments:
        open(arguments["pid"], "w").write(str(os.getpid()))
    time.sleep(600)

def unspeakable(arguments, arrays, folder):
    return {"x": object()}, {}
"""


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    (tmp_path / "edgekit_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda function, **options: worker.run(f"edgekit_jobs:{function}", {}, **options)


def test_values_and_arrays_cross(jobs):
    value, arrays = worker.run("edgekit_jobs:double", {"a": [1, "x"]}, {"x": np.arange(3, dtype=np.int8)})
    assert value == {"got": {"a": [1, "x"]}, "torch": False}
    assert arrays["x"].dtype == np.int8
    assert arrays["x"].tolist() == [0, 2, 4]


def test_chatter_stays_out_of_the_terminal(jobs, capfd):
    jobs("double")
    assert capfd.readouterr() == ("", "")


def test_deliberate_errors_come_back_whole(jobs):
    with pytest.raises(ConversionError) as caught:
        jobs("refuse")
    error = caught.value
    assert (error.message, error.op, error.module, error.accepted, error.next_step) == ("no", "aten.x", "a.b", "y", "z")
    assert "on 1x2" in str(error)


def test_a_plug_ins_own_error_comes_back_as_its_base(jobs):
    with pytest.raises(DataError, match="no"):
        jobs("refuse_own")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("stumble", "ValueError: vendor trouble"),
        ("abort", r"SIGABRT \(F0000 no_integer_overflow_from_quantization was not true"),
        ("segfault", "SIGSEGV"),
        ("starve", "SIGKILL, most likely out of memory"),
        ("leave", "no result was written"),
        ("unspeakable", "not JSON serializable"),
    ],
)
def test_crashes_are_told(jobs, function, reason):
    with pytest.raises(worker.WorkerCrashed, match=reason) as caught:
        jobs(function)
    assert caught.value.exit_code == 5


def test_a_hung_worker_is_killed(jobs):
    with pytest.raises(worker.WorkerCrashed, match="no answer within"):
        jobs("hang", timeout=0.5)


def test_nothing_stays_behind(jobs, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    for function in ("double", "abort"):
        with pytest.raises(worker.WorkerCrashed) if function == "abort" else pytest.MonkeyPatch.context():
            jobs(function)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_working_directory_shadows_no_package(jobs, tmp_path, monkeypatch):
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "numpy.py").write_text("raise RuntimeError('wrong numpy')")
    monkeypatch.chdir(tmp_path / "trap")
    jobs("double")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_the_worker_too(jobs, tmp_path):
    script = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from edgekit import worker
        worker.run("edgekit_jobs:hang", {{"pid": {str(tmp_path / "pid")!r}}})
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.DEVNULL)
    pid = tmp_path / "pid"
    wait_until(lambda: pid.exists() and pid.read_text())
    process.send_signal(signal.SIGINT)
    process.wait(60)
    wait_until(lambda: ended(int(pid.read_text())))


def test_ctrl_c_while_the_worker_is_being_made_leaves_no_worker(jobs, monkeypatch):
    made = []

    class Interrupted(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)
            os.kill(os.getpid(), signal.SIGINT)  # before the caller has the process in hand
            time.sleep(0.05)

    monkeypatch.setattr(worker.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        jobs("hang", timeout=60)
    assert made[0].returncode == -signal.SIGKILL
