"""Vela's estimates: cycles by the user's module, and what stays on the CPU."""

import warnings

import pytest
import torch

import edgekit
from edgekit import plugins
from edgekit.errors import ConversionError, LoadError, UsageError
from edgekit.plugins import RunRequest
from edgekit.profiling.counted_rows import counted_rows

pytestmark = pytest.mark.slow


class Net(torch.nn.Module):
    """A convolution an NPU takes, and a logarithm of a softmax that Ethos-U55 does not."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 16, 3)
        self.head = torch.nn.Linear(16, 10)
        self.last = torch.nn.LogSoftmax(-1)

    def forward(self, x):
        return self.last(self.head(self.conv(x).mean((2, 3))))


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = tmp_path_factory.mktemp("vela") / "a"
        return edgekit.convert(Net().eval(), "ethos-u55", example_inputs=torch.randn(1, 3, 16, 16), calibration="random", out=folder)


def test_cycles_memory_and_what_falls_back(artifact):
    found = edgekit.profile(artifact, runtime="vela")
    rows = {row.module: row for row in found.ops.rows}
    assert found.basis == "estimate" and found.counts is None and found.runner.on == "ethos-u55-128"
    assert rows["conv"].cycles > rows["head"].cycles > 0 and rows["conv"].placed == "npu"
    assert rows["last"].placed == "cpu" and rows["last"].cycles is None
    (warning,) = found.validity.warnings
    assert warning.code == "fallback" and "LOG_SOFTMAX" in warning.text and "of last" in warning.text
    assert found.estimate.cycles >= rows["conv"].cycles and found.estimate.milliseconds > 0 and found.memory.arena_bytes > 0


def test_every_row_says_that_it_is_an_estimate(artifact):
    table = dict(counted_rows(edgekit.profile(artifact, runtime="vela")))
    assert table["estimated time"].startswith("estimate: ") and "Vela's performance model" in table["estimate rests on"]
    assert table["measured"] == "nothing: this is an estimate" and "trusted" not in table


def test_it_runs_nothing(artifact):
    with pytest.raises(UsageError, match="runs no models"):
        plugins.load("runtimes", "vela").run(RunRequest(artifact.model_file), {})


def test_garbage_is_refused(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"\xff" * 500)
    with pytest.raises((LoadError, ConversionError)):
        plugins.load("runtimes", "vela").estimate(RunRequest(path))
