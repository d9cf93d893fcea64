"""On transcripts that are self-made, after trtexec's source: no device took part."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import ConversionError, DeviceUnavailable, EdgekitError, InvalidMeasurement
from edgekit_runtimes._trtexec.command import Measuring, layers
from edgekit_runtimes._trtexec.transcript import read_log, read_profile, read_times

FOLDER = Path(__file__).parent / "testing"


def made(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def test_transcripts_are_labelled_self_made():
    assert made("README.md").startswith("Self-made")


def test_a_measurement_is_read():
    log = read_log(made("orin_measure.txt"))
    assert (log.tensorrt, log.gpu, log.compute_capability, log.multiprocessors) == ("10.3.0", "Orin", "8.7", 8)
    latency = log.latency()
    assert (latency.low, latency.high, latency.mean, latency.median) == (0.0598145, 0.251709, 0.0650131, 0.0646973)
    assert latency.percentiles == {50: 0.0646973, 90: 0.0661621, 95: 0.067627, 99: 0.0703125}
    assert log.times["GPU Compute Time"].median == 0.0537109
    assert set(log.times) == {"Latency", "Enqueue Time", "H2D Latency", "GPU Compute Time", "D2H Latency"}
    assert log.throughput == 18432.7
    assert log.build_seconds is None
    assert "unstable" in log.warnings[0]


def test_a_build_is_read():
    log = read_log(made("orin_build.txt"))
    assert (log.tensorrt, log.build_seconds, log.multiprocessors) == ("8.6.1", 35.5173, 16)
    with pytest.raises(InvalidMeasurement, match="timed nothing"):
        log.latency()


def test_a_refusal_is_trtexecs_own_error():
    with pytest.raises(ConversionError, match="TRT only supports symmetric quantization") as caught:
        read_log(made("refused.txt"))
    assert "edgekit explain" in caught.value.next_step


def test_no_gpu_is_told_apart():
    log = made("refused.txt").replace("Failed to parse onnx file", "CUDA initialization failure with error: 100")
    with pytest.raises(DeviceUnavailable):
        read_log(log)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_log_that_ends_early_is_no_measurement(share):
    log = made("orin_measure.txt")
    with pytest.raises(InvalidMeasurement, match="ends before"):
        read_log(log[: int(len(log) * share)])


@pytest.mark.parametrize("bad", ["nan", "inf", "-1.5", "1e999", "fast"])
def test_times_that_are_no_numbers_are_refused(bad):
    with pytest.raises(InvalidMeasurement):
        read_log(made("orin_measure.txt").replace("0.0650131", bad))


def test_raw_times_are_latencies_in_order():
    assert read_times(made("times.json")) == (0.0607, 0.0617)


def test_layers_are_the_users_modules():
    rows = read_profile(made("profile.json"))
    assert [r.share for r in rows] == pytest.approx([0.08, 0.32, 0.60])
    paths = {"conv2d_2/Conv": "conv2d_2", "add/Add": "add", "conv2d/Transpose": "conv2d", "conv2d_1/Conv": "conv2d_1", "d_2/Conv": "other"}
    assert [r.modules(paths) for r in rows] == [("conv2d",), ("conv2d_1",), ("conv2d_2", "add")]


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", "null", '[{"name": "a"}]', '[{"name": "a", "averageMs": "1"}]', "[" * 100_000])
@pytest.mark.parametrize("read", [read_profile, read_times])
def test_other_exports_are_refused(read, text):
    if read is read_profile and text == "":
        text = "no"
    with pytest.raises(InvalidMeasurement):
        read(text)


@given(st.text())
def test_any_text_ends_in_a_transcript_or_one_clear_error(text):
    for log in (text, made("orin_measure.txt") + text, made("orin_build.txt").replace("Orin", text)):
        try:
            read_log(log)
        except EdgekitError as error:
            assert len(str(error)) < 600


def test_commands_are_arguments_not_a_shells_line():
    command = Measuring().command({"x": (8, 3, 32, 32)})
    assert command[:3] == ("trtexec", "--loadEngine=model.engine", "--shapes=x:8x3x32x32")
    assert "--noDataTransfers" in command
    assert "--separateProfileRun" in layers()
    assert not any(" " in part for part in (*command, *layers()))
