import subprocess
import sys

import numpy as np
import pytest
import torch

from edgekit import plugins
from edgekit.errors import ConversionError, DataError, LoadError, UsageError
from edgekit.plugins import Encoding, RunRequest
from edgekit.testing.data import cifar_test, data_file
from edgekit.testing.graphs import graph_of
from edgekit.timing import Pace

pytest.importorskip("ai_edge_litert")
aten = torch.ops.aten
LITERT = plugins.load("runtimes", "litert")
BRIEF = Pace(min_samples=20, min_seconds=0.01, max_seconds=0.05, warmup_seconds=0.05)


def written(folder, function, inputs, **constants):
    graph = graph_of(function, inputs, **constants)
    return folder / plugins.load("converters", "litert").emit(graph, folder, Encoding()).model_file


@pytest.fixture
def doubler(tmp_path):
    return written(tmp_path, lambda x: aten.add.Tensor(x, x), [torch.randn(2, 3)])


@pytest.fixture(scope="module")
def resnet():
    return data_file("ref_ic_resnet8_int8.tflite")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_model_with_a_batch_takes_several_samples_at_once(doubler, count):
    given = np.random.default_rng(0).standard_normal((count, 3)).astype("f4")
    np.testing.assert_allclose(LITERT.run(RunRequest(doubler), {"x0": given})["y0"], 2 * given)


def test_no_samples_give_no_outputs(doubler):
    assert LITERT.run(RunRequest(doubler), {"x0": np.zeros((0, 3), "f4")})["y0"].shape == (0, 3)


def test_counts_must_agree(tmp_path):
    model = written(tmp_path, aten.add.Tensor, [torch.randn(1, 3), torch.randn(1, 3)])
    with pytest.raises(DataError, match="different numbers of samples"):
        LITERT.run(RunRequest(model), {"x0": np.zeros((2, 3), "f4"), "x1": np.zeros((3, 3), "f4")})


@pytest.mark.parametrize("delegate", ["xnnpack", "none", "reference"])
def test_all_kernels_classify_alike(resnet, delegate):
    images, labels = cifar_test()
    given = {"input_1_int8": (images[:100].astype(int) - 128).astype("i1")}
    scores = LITERT.run(RunRequest(resnet, delegate=delegate), given)["Identity_int8"]
    assert scores.shape == (100, 10) and scores.dtype == np.int8
    assert (scores.argmax(1) == labels[:100]).mean() > 0.8


def test_threads_change_nothing(resnet):
    given = {"input_1_int8": np.random.default_rng(0).integers(-128, 128, (3, 32, 32, 3)).astype("i1")}
    one, two = (LITERT.run(RunRequest(resnet, threads=n), given)["Identity_int8"] for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("request_, error", [({"delegate": "gpu"}, UsageError), ({"threads": 0}, UsageError)])
def test_nonsense_is_refused(doubler, request_, error):
    with pytest.raises(error):
        LITERT.inspect(RunRequest(doubler, **request_))


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(LoadError, match="no model file"):
        LITERT.inspect(RunRequest(tmp_path))


def test_inspect_says_what_the_delegate_took(resnet):
    with_delegate = LITERT.inspect(RunRequest(resnet))
    assert [op["name"] for op in with_delegate["ops"] if not op["delegated"]] == ["AVERAGE_POOL_2D", "SOFTMAX"]
    assert with_delegate["ops"][0] | {"outputs": None} == {
        "index": 0, "name": "CONV_2D", "outputs": None, "shapes": [[1, 32, 32, 16]], "dtypes": ["int8"], "partition": 0, "delegated": True
    }  # fmt: skip
    assert not any(op["delegated"] for op in LITERT.inspect(RunRequest(resnet, delegate="none"))["ops"])


def test_the_arena_is_what_the_planner_needs(resnet):
    """The largest live pair here: input and output of an addition of 32 x 32 x 16 int8, and its third operand, in 64-byte blocks."""
    assert LITERT.inspect(RunRequest(resnet, delegate="reference"))["arena_bytes"] == 3 * 32 * 32 * 16 + 32 * 32 * 3


def test_a_launch_measures(doubler):
    launch = LITERT.measure(RunRequest(doubler), BRIEF, {"x0": np.zeros(3, "f4")})
    assert len(launch.timings.samples_ns) >= 20 and (launch.timings.samples_ns > 0).all()
    assert launch.cold_load_ms > 0 and launch.warm_load_ms > 0 and launch.first_run_ms > 0
    assert launch.timings.overhead_ns > 0
    if sys.platform == "linux":
        assert launch.peak_rss_bytes >= launch.baseline_rss_bytes > 0


def test_a_launch_of_a_bad_input_is_refused(doubler):
    with pytest.raises(DataError):
        LITERT.measure(RunRequest(doubler), BRIEF, {"x0": np.zeros(4, "f4")})


@pytest.mark.parametrize("name", ["ic_resnet8", "sww", "vww_96", "kws_dscnn", "ad01"])
def test_operators_have_times_of_their_own(name):
    model = data_file(f"ref_{name}_int8.tflite")
    found = LITERT.inspect(RunRequest(model))
    spec = found["inputs"][0]
    trace = LITERT.trace(RunRequest(model), {spec["name"]: np.zeros(spec["shape"][1:], spec["dtype"])}, 0.05)
    assert trace.reason is None and trace.runs >= 3
    assert [(op.index, op.name) for op in trace.ops] == [(op["index"], op["name"]) for op in found["ops"]]
    assert [op.delegated for op in trace.ops] == [op["delegated"] for op in found["ops"]]
    assert all(op.mean_us is not None for op in trace.ops), "every operator of these models has a kernel"
    assert all(bool(op.kernel) == op.delegated for op in trace.ops)


def test_plain_kernels_have_no_profiler_and_say_so(resnet):
    trace = LITERT.trace(RunRequest(resnet, delegate="reference"), {"input_1_int8": np.zeros((32, 32, 3), "i1")}, 0.05)
    assert not trace.ops and "'reference'" in trace.reason
    assert trace.planned_arena_bytes == 52224


def test_a_file_that_cannot_be_prepared_is_a_conversion_error(tmp_path):
    """RESHAPE to another number of elements: readable, and refused at allocation."""
    model = written(tmp_path, lambda x: aten.reshape.default(x, [1, 6]), [torch.randn(1, 2, 3)])
    broken = model.read_bytes().replace(np.int32([1, 6]).tobytes(), np.int32([1, 7]).tobytes())
    model.write_bytes(broken)
    with pytest.raises((ConversionError, LoadError), match="cannot prepare"):
        LITERT.run(RunRequest(model), {"x0": np.zeros((1, 2, 3), "f4")})


def test_the_worker_imports_no_framework():
    imports = "import sys, edgekit_runtimes._litert_worker, edgekit_runtimes._litert_trace"
    code = f"{imports}; assert not {{'torch', 'scipy', 'tensorflow'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_version():
    assert LITERT.version().startswith("ai-edge-litert ")
