"""``benchmark_model`` is the user's, so a stand-in prints what real ones print: an older, a newer and a delegate's."""

import subprocess
import sys

import numpy as np
import pytest

from edgekit import plugins
from edgekit.devices import opened
from edgekit.errors import DeviceFailed, UsageError
from edgekit.plugins import RunRequest
from edgekit.timing import Pace
from edgekit_runtimes._benchmark_report import read
from edgekit_runtimes.benchmark_model import VARIABLE, flags

OLD = """STARTING!
Loaded model /data/local/tmp/m.tflite
count=1 curr=3512391

count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, Inference (avg): 2.95034e+06
Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t         AllocateTensors\t            0.000\t    1.356\t    1.356\t100.000%\t100.000%\t     0.000\t        1\tAllocateTensors/0

Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.066\t   87.754\t   60.957\t  2.066%\t  2.066%\t     0.000\t        1\t[a/Relu6]:0
\t       DEPTHWISE_CONV_2D\t           61.033\t   53.628\t   49.870\t  1.691%\t  3.757%\t     0.000\t        1\t[b/Relu6]:1

============================== Top by Computation Time ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.066\t   87.754\t   60.957\t  2.066%\t  2.066%\t     0.000\t        1\t[a/Relu6]:0
"""
NEW = """INFO: count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478 p5=51629 median=51962 p95=87112
INFO: count=1000 first=52162 curr=49785 min=49088 max=686105 avg=63743.2 std=60716 p5=49620 median=51891 p95=68628
INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): 58147.4, Inference (avg): 63743.2
INFO: Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
    [node type]    [first]    [avg ms]    [%]    [cdf%]    [mem KB]    [times called]  [Name]
    QUANTIZE    0.199    0.203    1.328%    1.328%    0.000    1    [tfl]:0
   Convolution (NHWC, QC8) IGEMM    0.398    0.407    2.658%    3.986%    0.000    1    Delegate/Convolution (NHWC, QC8) IGEMM:0
  Convolution (NHWC, QC8) DWConv    0.428    0.051    4.317%    8.304%    0.000    13    Delegate/Convolution (NHWC, QC8) DWConv:1
"""


def test_an_older_report_is_read():
    report = read(OLD)
    assert (report.init_us, report.first_us, report.warmup_us, report.mean_us) == (17187, 3512391, 3.51239e6, 2.95034e6)
    assert (report.runs, report.std_us, report.median_us, report.typical_us) == (50, 109798, None, 2.95034e6)
    assert [(op.index, op.name, op.mean_us, op.delegated) for op in report.operators] == [
        (0, "CONV_2D", 60957, False),
        (1, "DEPTHWISE_CONV_2D", 49870, False),
    ]


def test_a_newer_report_is_read_and_kernels_of_one_name_are_added_up():
    report = read(NEW)
    assert (report.runs, report.median_us, report.typical_us) == (1000, 51891, 51891)
    assert [(op.index, op.delegated, round(op.mean_us)) for op in report.operators] == [
        (0, False, 203),
        (None, True, 407),
        (None, True, 663),
    ]


@pytest.mark.parametrize("text", ["", "Segmentation fault", OLD.replace("Init: 17187", "Init: ...")])
def test_what_holds_no_figures_is_refused(text):
    with pytest.raises(DeviceFailed):
        read(text)


def test_every_flag_is_the_paces():
    pace = Pace(min_samples=7, min_seconds=1, max_seconds=3, warmup_seconds=0.25)
    assert flags(pace) == ("--warmup_runs=1", "--warmup_min_secs=0.25", "--num_runs=7", "--min_secs=1", "--max_secs=3")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    def make(text, code=0):
        path = tmp_path / "benchmark_model"
        (tmp_path / "said").write_text(text)
        path.write_text(f"#!/bin/sh\necho \"$@\" >>'{tmp_path}/flags'\ncat '{tmp_path}/said'\nexit {code}\n")
        path.chmod(0o755)
        monkeypatch.setenv(VARIABLE, str(path))
        return tmp_path / "flags"

    return make


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"model")
    return RunRequest(path, threads=2, delegate="none")


def test_it_is_measured_with_on_a_device(stand_in, model):
    said = stand_in(NEW)
    with opened("host") as device:
        engine = plugins.load("runtimes", "benchmark_model").on(device)
        launch = engine.measure(model, Pace(), {})
    assert launch.timings.samples_ns.tolist() == [51_891_000] and launch.cold_load_ms == 119.515 and launch.first_run_ms == 87.112
    assert launch.warm_load_ms is None and launch.timings.samples_ns.dtype == np.int64
    assert f"--graph={model.model} --num_threads=2 --use_xnnpack=false" in said.read_text()


def test_operators_that_are_not_the_files_stand_as_they_were_told(stand_in, model, monkeypatch):
    said = stand_in(NEW)
    with opened("host") as device:
        engine = plugins.load("runtimes", "benchmark_model").on(device)
        monkeypatch.setattr(type(engine), "inspect", lambda self, request: {"ops": []})
        trace = engine.trace(model, {}, 0.5)
    assert trace.ops[0].name == "QUANTIZE" and trace.runs == 1000 and trace.reason is None
    assert "--enable_op_profiling=true" in said.read_text()


def test_a_failure_is_told(stand_in, model):
    stand_in("ERROR: Failed to load the model", code=1)
    with opened("host") as device, pytest.raises(DeviceFailed, match="Failed to load the model"):
        plugins.load("runtimes", "benchmark_model").on(device).measure(model, Pace(), {})


def test_without_the_program_it_says_what_names_it(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    engine = plugins.load("runtimes", "benchmark_model")
    with opened("host") as device, pytest.raises(UsageError, match=f"{VARIABLE} does not name"):
        engine.on(device)
    monkeypatch.setenv(VARIABLE, "/no/such/file")
    with opened("host") as device, pytest.raises(UsageError, match="names no file"):
        engine.on(device)


def test_it_gives_no_outputs(model):
    with pytest.raises(UsageError, match="no outputs"):
        plugins.load("runtimes", "benchmark_model").run(model, {})


def test_importing_it_imports_no_framework():
    code = "import sys; from edgekit import plugins; plugins.load('runtimes', 'benchmark_model'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
