"""Jobs side by side, told apart, and none left behind however it ends."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import psutil
import pytest

from edgekit.errors import ConversionError, UsageError
from edgekit.nursery import Ended, Job, Nursery, Progressed
from edgekit.testing import processes
from edgekit.worker import WorkerCrashed

JOBS = """
import ctypes, os, sys, threading, time
from pathlib import Path
from edgekit.errors import ConversionError
from edgekit.progress import report

def double(arguments, arrays, folder):
    report("doubling", 1, 2)
    print("chatter")
    os.write(1, b"native chatter")
    return {"pid": os.getpid(), "parent": os.getppid(), **arguments}, {k: v * 2 for k, v in arrays.items()}

def refuse(arguments, arrays, folder):
    raise ConversionError("no", op="aten.x", module="a.b")

def segfault(arguments, arrays, folder):
    ctypes.string_at(0)

def meet(arguments, arrays, folder):
    "Ends only when all parties are there at once."
    Path(arguments["folder"], str(os.getpid())).touch()
    while len(list(Path(arguments["folder"]).iterdir())) < arguments["parties"]:
        time.sleep(0.01)
    return {}, {}

def hang(arguments, arrays, folder):
    try:
        Path(arguments["pid"]).write_text(str(os.getpid()))
        report("hanging", 0)
        time.sleep(600)
    finally:
        Path(arguments["pid"] + ".cleaned").touch()
"""
THREADED = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"


@pytest.fixture(autouse=True)
def jobs(tmp_path, monkeypatch):
    (tmp_path / "edgekit_jobs.py").write_text(JOBS)
    (tmp_path / "edgekit_threaded_jobs.py").write_text(THREADED + JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))


def ended(events):
    return {e.key: e for e in events if isinstance(e, Ended)}


def job(key, function, module="edgekit_jobs", **arguments):
    return Job(key, f"{module}:{function}", arguments)


def test_values_arrays_and_progress_cross(capfd):
    with Nursery("edgekit_jobs") as nursery:
        events = list(nursery.run([Job("a", "edgekit_jobs:double", {"x": [1]}, {"v": np.arange(3)}), job("b", "double")]))
    assert Progressed("a", "doubling", 1, 2) in events
    results = ended(events)
    assert set(results) == {"a", "b"}
    assert results["a"].value["x"] == [1]
    assert results["a"].arrays["v"].tolist() == [0, 2, 4]
    assert results["a"].value["pid"] != results["b"].value["pid"]
    assert capfd.readouterr() == ("", "")


def test_one_that_fails_loses_nothing_but_itself():
    with Nursery("edgekit_jobs") as nursery:
        results = ended(nursery.run([job("refused", "refuse"), job("crashed", "segfault"), job("fine", "double")]))
    assert isinstance(results["refused"].error, ConversionError)
    assert (results["refused"].error.op, results["refused"].error.module) == ("aten.x", "a.b")
    assert isinstance(results["crashed"].error, WorkerCrashed)
    assert "SIGSEGV" in str(results["crashed"].error)
    assert results["fine"].error is None


def test_jobs_run_side_by_side(tmp_path):
    place = tmp_path / "meeting"
    place.mkdir()
    with Nursery("edgekit_jobs") as nursery:
        results = ended(nursery.run([job(str(i), "meet", folder=str(place), parties=3) for i in range(3)]))
    assert len(results) == 3
    assert not any(r.error for r in results.values())


def test_the_limit_holds():
    with Nursery("edgekit_jobs") as nursery:
        kinds = [type(e).__name__ for e in nursery.run([job(str(i), "double") for i in range(3)], limit=1)]
    assert kinds == ["Progressed", "Ended"] * 3


def test_children_are_forked_where_the_nursery_has_no_threads():
    with Nursery("edgekit_jobs") as nursery:
        value = ended(nursery.run([job("a", "double")]))["a"].value
    assert value["parent"] == nursery._process.pid


def test_a_nursery_with_threads_starts_children_afresh():
    with Nursery("edgekit_threaded_jobs") as nursery:
        results = ended(nursery.run([job("a", "double", "edgekit_threaded_jobs"), job("b", "refuse", "edgekit_threaded_jobs")]))
    assert results["a"].error is None
    assert isinstance(results["b"].error, ConversionError)


def test_a_nursery_that_dies_says_so(tmp_path):
    with Nursery("edgekit_jobs") as nursery:
        events = nursery.run([job("a", "hang", pid=str(tmp_path / "pid")), job("b", "double")], limit=1)
        assert isinstance(next(events), Progressed)
        os.killpg(nursery._process.pid, signal.SIGKILL)
        assert {k: type(e.error) for k, e in ended(events).items()} == {"a": WorkerCrashed, "b": WorkerCrashed}


def test_modules_that_cannot_be_imported_are_an_error():
    with Nursery("edgekit_nothing") as nursery:
        result = ended(nursery.run([job("a", "double")]))["a"]
    assert "edgekit_nothing" in str(result.error)


def test_leaving_early_lets_children_clean_up(tmp_path):
    pid = tmp_path / "pid"
    with pytest.raises(UsageError), Nursery("edgekit_jobs") as nursery:
        for event in nursery.run([job("a", "hang", pid=str(pid))]):
            assert isinstance(event, Progressed)
            raise UsageError("changed my mind")
    assert (tmp_path / "pid.cleaned").exists()
    assert not psutil.pid_exists(int(pid.read_text()))


def test_children_do_not_outlive_a_killed_owner(tmp_path):
    pid = tmp_path / "pid"
    code = f"""
        from edgekit.nursery import Job, Nursery
        with Nursery("edgekit_jobs") as nursery:
            list(nursery.run([Job("a", "edgekit_jobs:hang", {{"pid": {str(pid)!r}}})]))
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=environment) as owner:
        processes.wait_until(lambda: pid.exists() and pid.read_text())
        owner.kill()
    processes.wait_until(lambda: processes.ended(int(pid.read_text())))
    assert (tmp_path / "pid.cleaned").exists()
