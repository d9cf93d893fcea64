import subprocess
import sys

import pytest

from edgekit.errors import UsageError
from edgekit_runtimes import _cache


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_thing_is_made_once_for_each_key(cache):
    made = []

    def make(folder):
        made.append(folder)
        (folder / "x").write_text("content")

    first, again, other = (_cache.kept("kind", {"a": n}, make) for n in (1, 1, 2))
    assert first == again != other and len(made) == 2
    assert (first / "x").read_text() == "content" and first.is_relative_to(cache / "kind")


def test_a_failure_leaves_nothing(cache):
    def fail(folder):
        (folder / "half").write_text("")
        raise RuntimeError("no")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            _cache.kept("kind", {}, fail)
    assert list((cache / "kind").iterdir()) == [] or all(p.name.endswith(".lock") for p in (cache / "kind").iterdir())
    assert _cache.kept("kind", {}, lambda folder: (folder / "x").touch()).is_dir()


def test_processes_that_want_the_same_wait_for_the_first(cache):
    code = """
import sys, time
from edgekit_runtimes import _cache
def make(folder):
    time.sleep(0.3)
    (folder / "pid").write_text("made")
    print("made")
print(_cache.kept("kind", {"same": True}, make).joinpath("pid").read_text())
"""
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [run.communicate()[0].split() for run in runs]
    assert sorted(len(words) for words in printed) == [1, 1, 2] and all(words[-1] == "made" for words in printed)


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="cannot write the cache") as caught:
        _cache.kept("kind", {}, lambda folder: None)
    assert "EDGEKIT_CACHE" in caught.value.next_step
