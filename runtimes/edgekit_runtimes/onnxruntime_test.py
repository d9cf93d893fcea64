import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from edgekit import plugins
from edgekit.errors import ConversionError, DataError, LoadError, UsageError
from edgekit.plugins import Encoding, RunRequest
from edgekit.testing.graphs import graph_of
from edgekit.timing import Pace
from edgekit_runtimes._onnxruntime_worker import op_times

pytest.importorskip("onnxruntime")
aten = torch.ops.aten
ORT = plugins.load("runtimes", "onnxruntime")
BRIEF = Pace(min_samples=20, min_seconds=0.01, max_seconds=0.05, warmup_seconds=0.05)


@pytest.fixture
def model(tmp_path):
    graph = graph_of(lambda x, w: aten.relu.default(aten.linear.default(x, w)), [torch.randn(1, 3)], "head", w=torch.randn(2, 3))
    return tmp_path / plugins.load("converters", "onnx").emit(graph, tmp_path, Encoding()).model_file


@pytest.mark.parametrize("delegate", ["none", "reference"])
def test_all_kernels_compute_alike(model, delegate):
    given = {"x0": np.random.default_rng(0).standard_normal((5, 3)).astype("f4")}
    fast, plain = (ORT.run(RunRequest(model, delegate=d), given)["y0"] for d in ("xnnpack", delegate))
    np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-6)


def test_other_kernels_and_no_threads_are_refused(model):
    given = {"x0": np.zeros((1, 3), "f4")}
    for request in (RunRequest(model, delegate="gpu"), RunRequest(model, threads=0)):
        with pytest.raises(UsageError):
            ORT.run(request, given)


def test_an_open_batch_takes_samples_one_by_one(tmp_path):
    edges = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", edges[:1], edges[1:])
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)]).SerializeToString())
    given = np.arange(12, dtype="f4").reshape(4, 3)
    np.testing.assert_array_equal(ORT.run(RunRequest(path), {"x": given})["y"], -given)
    with pytest.raises(DataError):
        ORT.run(RunRequest(path), {"x": given[:, :2]})


def test_an_operator_it_lacks_is_a_conversion_error(tmp_path):
    edges = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3]) for n in ("x", "y")]
    node = helper.make_node("Fancy", ["x"], ["y"], domain="my.company")
    graph = helper.make_graph([node], "g", edges[:1], edges[1:])
    imports = [helper.make_opsetid("", 19), helper.make_opsetid("my.company", 1)]
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=9, opset_imports=imports).SerializeToString())
    with pytest.raises((ConversionError, LoadError), match="Fancy"):
        ORT.run(RunRequest(path), {"x": np.zeros((1, 3), "f4")})


def test_it_reads_no_file_outside_the_models_folder(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(24))
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret")
    edges = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s]) for n, s in (("x", 2), ("y", 3))]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", edges[:1], edges[1:], [tensor])
    path = tmp_path / "m" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)]).SerializeToString())
    with pytest.raises(LoadError, match="outside its folder"):
        ORT.run(RunRequest(path), {"x": np.zeros((1, 2), "f4")})


def test_it_can_be_timed_and_traced(model):
    one = {"x0": np.zeros(3, "f4")}
    launch = ORT.measure(RunRequest(model), BRIEF, one)
    assert len(launch.timings.samples_ns) >= 20
    assert launch.cold_load_ms > 0
    trace = ORT.trace(RunRequest(model), one, 0.01)
    assert trace.ops and trace.runs >= 3
    assert ORT.trace(RunRequest(model, delegate="reference"), one, 0.01).reason
    assert ORT.version().startswith("onnxruntime ")


def test_times_belong_to_the_files_nodes():
    events = [
        {"cat": "Node", "name": "a/Conv_kernel_time", "dur": 30, "args": {"op_name": "FusedConv"}},
        {"cat": "Node", "name": "new_kernel_time", "dur": 4, "args": {"op_name": "Reorder"}},
        {"cat": "Session", "name": "model_run", "dur": 99, "args": {}},
        {"cat": "Node", "name": "a/Conv_kernel_time", "dur": 10, "args": {"op_name": "FusedConv"}},
    ]
    conv, other = op_times(events, 2, {"a/Conv": 7})
    assert (conv.index, conv.name, conv.kernel, conv.mean_us) == (7, "FusedConv", "a/Conv", 20.0)
    assert (other.index, other.mean_us) == (None, 2.0)
