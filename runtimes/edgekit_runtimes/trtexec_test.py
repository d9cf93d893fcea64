"""TensorRT over ssh, against a stand-in for trtexec (`edgekit.testing.trtexec`): the way there and back, no GPU, no real figure."""

import numpy as np
import pytest

from edgekit import plugins
from edgekit.devices import opened
from edgekit.errors import ConversionError, DeviceFailed, DeviceUnavailable, InvalidMeasurement, UsageError
from edgekit.plugins import RunRequest
from edgekit.testing import trtexec
from edgekit.testing.ssh_server import SshBoard
from edgekit.timing import Pace
from edgekit_runtimes._trtexec.engines import read_output

BUILD = ("trtexec", "--onnx=model.onnx", "--saveEngine=model.engine", "--int8", "--timingCacheFile=timing.cache", "--skipInference")
X = {"x": np.ones(4, np.float32)}


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A board with the stand-in, whose environment a test may change."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("STANDIN_LOG", str(tmp_path / "built"))
    monkeypatch.setenv("PATH", f"{trtexec.install(tmp_path / 'bin')}:/usr/bin:/bin")
    environment = {"STANDIN_LOG": str(tmp_path / "built"), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    with SshBoard(tmp_path / "home", environment) as made:
        yield made


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"an onnx file")
    return path


@pytest.fixture
def request_(model):
    return RunRequest(model, options={"build": BUILD})


def runtime():
    return plugins.load("runtimes", "trtexec")


def test_it_is_built_once_and_timed(board, request_, tmp_path):
    for _ in range(2):
        with opened(board.address) as device:
            there = runtime().on(device)
            assert runtime().refusal(device.machine()) is None
            launch = there.measure(request_, Pace(min_samples=100, max_seconds=1), X)
            assert len(launch.timings.samples_ns) == 500 and launch.timings.samples_ns[3] == 64_700 and launch.timings.precise
            assert launch.cold_load_ms == 3.4 and launch.first_run_ms is None
    built = (tmp_path / "built").read_text().splitlines()
    assert len(built) == 1 and "--int8" in built[0] and "--timingCacheFile=timing.cache" in built[0]


@pytest.mark.parametrize("what", ["model", "options"])
def test_another_model_or_command_is_built_anew(board, request_, tmp_path, what):
    with opened(board.address) as device:
        there = runtime().on(device)
        there.measure(request_, Pace(max_seconds=1), X)
        if what == "model":
            request_.model.write_bytes(b"another onnx file")
        else:
            request_ = RunRequest(request_.model, options={"build": (*BUILD, "--fp16")})
        there.measure(request_, Pace(max_seconds=1), X)
    assert len((tmp_path / "built").read_text().splitlines()) == 2


def test_layers(board, request_):
    with opened(board.address) as device:
        trace = runtime().on(device).trace(request_, X, 0.1)
    assert [(op.name, op.mean_us) for op in trace.ops] == [("conv1 + relu", 30.0), ("fc", 20.0)] and "trtexec" in trace.source


def test_an_engine_of_another_version_is_not_run(board, request_):
    with opened(board.address) as device:
        there = runtime().on(device)
        there.measure(request_, Pace(max_seconds=1), X)
        board.environment["STANDIN_VERSION"] = "100700"
        with pytest.raises(DeviceUnavailable, match=r"built on Orin with TensorRT 10.3.0, and ran on Orin with TensorRT 10.7.0"):
            there.measure(request_, Pace(max_seconds=1), X)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("refuse", ConversionError, "only supports symmetric"),
        ("crash", DeviceFailed, "SIGSEGV"),
        ("garbage", InvalidMeasurement, "trtexec"),
    ],
)
def test_what_goes_wrong_is_told(board, request_, tmp_path, *, fault, error, words):
    board.environment["STANDIN_FAULT"] = fault
    with opened(board.address) as device, pytest.raises(error, match=words):
        runtime().on(device).measure(request_, Pace(max_seconds=1), X)
    assert not list((tmp_path / "cache").glob("engines/*/model.engine"))


@pytest.mark.parametrize("word", ["--plugins=/tmp/evil.so", "--loadEngine=x", "rm", "--exportTimes=/etc/x", "--timingCacheFile=/etc/x"])
def test_a_manifest_cannot_ask_for_anything_else(board, model, word):
    with opened(board.address) as device, pytest.raises(UsageError, match="build command"):
        runtime().on(device).measure(RunRequest(model, options={"build": (*BUILD, word)}), Pace(), X)


def test_a_board_without_it_is_refused(board, tmp_path):
    (tmp_path / "bin" / "trtexec").unlink()
    with opened(board.address) as device:
        assert "no TensorRT" in runtime().refusal(device.machine())


def test_here_it_cannot_run(request_):
    with pytest.raises(UsageError, match="NVIDIA GPU"):
        runtime().run(request_, X)


@pytest.mark.parametrize("text", ["", "[]x", '[{"name": "y"}]', '[{"name": "y", "dimensions": "3", "values": [1]}]', "[1]", "{}x"])
def test_outputs_that_are_none(text):
    with pytest.raises(DeviceFailed):
        read_output(text)


def test_outputs():
    got = read_output('[{"name": "y", "dimensions": "1x2", "values": [1, 2.5]}]')
    assert got["y"].tolist() == [[1.0, 2.5]]
