import zipfile
from dataclasses import replace

import pytest

from edgekit.testing.scripted_device import MACHINE
from edgekit_runtimes import _remote_worker

VERSIONS = {"python": "3.11.2", "ai-edge-litert": "2.3.0"}


def test_what_goes_to_a_device_depends_on_the_sources_only(tmp_path, monkeypatch):
    contents = []
    for name in ("a", "b"):
        monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / name))
        _remote_worker._sources.cache_clear()
        contents.append(_remote_worker._sources().read_bytes())
    _remote_worker._sources.cache_clear()
    assert contents[0] == contents[1] and len(contents[0]) < 1_000_000


def test_it_holds_the_worker_and_no_tests(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    _remote_worker._sources.cache_clear()
    with zipfile.ZipFile(_remote_worker._sources()) as archive:
        names = archive.namelist()
    _remote_worker._sources.cache_clear()
    assert {"edgekit/worker.py", "edgekit/timing.py", "edgekit_runtimes/_litert_worker.py"} <= set(names)
    assert not [name for name in names if "test" in name]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"versions": VERSIONS}, None),
        ({"versions": {**VERSIONS, "python": "3.14.0"}}, None),
        ({"versions": {**VERSIONS, "python": "3.10.12"}}, "no Python 3.11"),
        ({"versions": {}}, "no Python"),
        ({"versions": {"python": "3.11.2"}}, "no ai-edge-litert"),
        ({"versions": VERSIONS, "emulator": "qemu"}, "emulated"),
    ],
)
def test_where_it_can_run(changes, reason):
    said = _remote_worker.refusal(replace(MACHINE, **changes), "ai-edge-litert")
    assert said is None if reason is None else reason in said
