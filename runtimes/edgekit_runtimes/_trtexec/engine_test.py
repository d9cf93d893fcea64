from dataclasses import replace

import pytest

from edgekit.errors import DeviceUnavailable, LoadError
from edgekit_runtimes._trtexec.engine import Stamp, require_loadable, stamp_path

ORIN = Stamp("Orin", "8.7", 8, "10.3.0", "a" * 64)


@pytest.fixture
def engine(tmp_path):
    """A file that stands for an engine: none can be built here."""
    path = tmp_path / "model.engine"
    path.write_bytes(b"not really an engine")
    stamp_path(path).write_bytes(ORIN.to_bytes())
    return path


def test_an_engine_is_loaded_where_it_was_built(engine):
    assert require_loadable(engine, ORIN) == ORIN


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("gpu", "Thor", "GPU Orin, and this device has Thor"),
        ("compute_capability", "8.6", "compute capability 8.7"),
        ("multiprocessors", 16, "multiprocessors 8, and this device has 16"),
        ("tensorrt", "10.3.1", "TensorRT version 10.3.0"),
    ],
)
def test_an_engine_is_refused_everywhere_else(engine, name, value, words):
    with pytest.raises(DeviceUnavailable, match=words) as caught:
        require_loadable(engine, replace(ORIN, **{name: value}))
    assert "build_engine.sh" in caught.value.next_step


def test_an_engine_of_another_model_is_refused(engine):
    with pytest.raises(LoadError, match="another model"):
        require_loadable(engine, replace(ORIN, model_sha256="b" * 64))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        ORIN.to_bytes().replace(b"edgekit.engine/1", b"edgekit.engine/9"),
        ORIN.to_bytes().replace(b'"8.7"', b"8.7"),
        ORIN.to_bytes().replace(b'"gpu"', b'"path"'),
        ORIN.to_bytes() + b" " * 70_000,
    ],
)
def test_a_damaged_stamp_is_one_clear_error(engine, content):
    stamp_path(engine).write_bytes(content)
    with pytest.raises(LoadError, match="no stamp"):
        require_loadable(engine, ORIN)


def test_what_is_missing_is_said(engine):
    stamp_path(engine).unlink()
    with pytest.raises(LoadError, match="no stamp"):
        require_loadable(engine, ORIN)
    engine.unlink()
    with pytest.raises(LoadError, match="no engine"):
        require_loadable(engine, ORIN)
