"""Explaining ONNX files: ours, others', and such as nobody should write."""

import random

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from edgekit.conversion import explain
from edgekit.errors import EdgekitError, LoadError, UsageError
from edgekit.graph import aten
from edgekit.onnxfile import read_model
from edgekit.plugins import Encoding
from edgekit.testing.graphs import graph_of
from edgekit_converters.onnx import reader
from edgekit_converters.onnx.testing import check_integer
from edgekit_converters.onnx.walk import emit


@pytest.fixture
def quantized(tmp_path):
    def function(x, w, b):
        return aten.relu.default(aten.convolution.default(x, w, b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1))

    graph = graph_of(function, [torch.randn(1, 3, 8, 8)], "net.conv", w=torch.randn(4, 3, 3, 3), b=torch.randn(4))
    _, model = check_integer(graph)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def described(monkeypatch):
    """What the reader answers, in this process: quicker than in a worker."""
    monkeypatch.setattr(reader, "limit_memory", lambda size: None)
    return lambda path: reader.read({"model": str(path)}, {}, path.parent)[0]


def saved(model, path):
    path.write_bytes(model.SerializeToString())
    return path


def test_a_file_of_ours_breaks_no_rule(quantized):
    found = explain(quantized)
    assert [(f.kind, f.text) for f in found.findings] == [("TensorRT", "no rule is broken")]
    assert found.counts == {"DequantizeLinear": 2, "QuantizeLinear": 1, "Conv": 1, "Relu": 1}
    assert {op.module for op in found.ops} == {"net.conv"}
    assert {op.name: op.dtype for op in found.ops}["Conv"] == "int8"
    assert found.constant_bytes["int8"] >= 4 * 3 * 9
    weight = next(t for t in found.tensors if t.constant and t.shape == (4, 3, 3, 3))
    assert (weight.grid.axis, len(weight.grid.scale)) == (0, 4)
    assert found.inputs[0].shape == (1, 3, 8, 8)


def test_a_broken_rule_is_told_with_the_node_the_module_and_the_fix(quantized):
    model = onnx.load(quantized)
    quantize = next(n for n in model.graph.node if n.op_type == "QuantizeLinear")
    zero = next(t for t in model.graph.initializer if t.name == quantize.input[2])
    zero.CopyFrom(numpy_helper.from_array(np.int8(5), zero.name))
    found = explain(saved(model, quantized))
    (finding,) = found.findings
    assert finding.kind == "TensorRT: asymmetric"
    assert "net.conv/QuantizeLinear" in finding.text
    assert "symmetric ranges" in finding.text


def test_open_dimensions_and_files_without_module_paths(tmp_path, described):
    edge = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [edge], [out])
    found = described(saved(helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)]), tmp_path / "m.onnx"))
    assert found["inputs"][0]["shape"] == [-1, 3]
    assert found["tensors"][0]["dynamic"] == [0]
    assert not found["ops"][0]["module"]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_truncated_files(quantized, share, described):
    content = quantized.read_bytes()
    quantized.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(LoadError, match=r"model\.onnx"):
        described(quantized)


def test_flipped_bytes_end_in_an_answer_or_one_clear_error(quantized):
    whole, generator = quantized.read_bytes(), random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(8):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        quantized.write_bytes(damaged)
        try:
            read_model(quantized)
        except EdgekitError as error:
            assert len(str(error)) < 600


def external(path, location, **more):
    """A file whose weight is said to lie at `location`."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    edges = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s]) for n, s in (("x", 2), ("y", 3))]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", edges[:1], edges[1:], [tensor])
    return saved(helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)]), path)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret", "..\\secret", "C:\\secret", "", "link"])
def test_external_data_stay_in_the_models_folder(tmp_path, location, described):
    (tmp_path / "secret").write_bytes(bytes(24))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(LoadError, match="outside its folder"):
        described(external(tmp_path / "m" / "model.onnx", location))


def test_external_data_that_are_missing_short_or_nonsense(tmp_path, described):
    path = tmp_path / "model.onnx"
    with pytest.raises(LoadError, match="not there"):
        described(external(path, "w.bin"))
    (tmp_path / "w.bin").write_bytes(bytes(20))
    with pytest.raises(LoadError, match="too short"):
        described(external(path, "w.bin"))
    with pytest.raises(LoadError, match="offset"):
        described(external(path, "w.bin", offset="-5"))
    (tmp_path / "w.bin").write_bytes(bytes(24))
    assert [op["name"] for op in described(external(path, "w.bin"))["ops"]] == ["MatMul"]


@pytest.mark.parametrize("dims", [[2**40, 2**20], [2**62], [3, 3], [-1]])
def test_constants_are_as_large_as_they_say(tmp_path, dims, described):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=bytes(24))
    edges = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", edges[:1], edges[1:], [tensor])
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)])
    with pytest.raises(LoadError, match="contradicts itself"):
        described(saved(model, tmp_path / "m.onnx"))


def test_what_the_checker_refuses_is_one_clear_error(quantized, described):
    model = onnx.load(quantized)
    del model.graph.node[0].input[:]
    with pytest.raises(LoadError, match="no valid ONNX model"):
        described(saved(model, quantized))


def test_other_files(tmp_path, described):
    path = tmp_path / "m.onnx"
    for content in (b"", b"no model", b"\xff" * 100, bytes(100)):
        path.write_bytes(content)
        with pytest.raises(LoadError):
            described(path)
    with pytest.raises(UsageError):
        explain(tmp_path / "missing.onnx")


def test_labels_and_description_are_in_the_file(tmp_path, described):
    graph = graph_of(aten.relu.default, [torch.randn(1, 2)])
    emit(graph, tmp_path, Encoding(labels=("cat", "dog"), description="tells cats from dogs"))
    found = described(tmp_path / "model.onnx")
    assert found["description"] == "tells cats from dogs"
    assert found["metadata"] == {"edgekit.labels": 7}
