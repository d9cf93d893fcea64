"""What the converter leaves in an artifact's folder, beside the ONNX file."""

import subprocess

import numpy as np
import pytest
import torch

from edgekit import plugins
from edgekit.data.samples import Samples
from edgekit.graph import aten
from edgekit.plugins import Encoding
from edgekit.targets import load_target
from edgekit.testing.graphs import graph_of
from edgekit_converters.onnx.testing import quantized


def convolution(w):
    def function(x, w):
        return aten.convolution.default(x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)

    return graph_of(function, [torch.randn(1, w.shape[1], 8, 8)], "net.conv", w=w)


def emitted(graph, folder, **encoding):
    return plugins.load("converters", "tensorrt").emit(graph, folder, Encoding(**encoding))


def rounded(graph):
    data = np.random.default_rng(0).standard_normal((4, *graph.inputs[0].shape[1:])).astype(np.float32)
    return quantized(graph, Samples({graph.inputs[0].name: data}))


def test_flags_say_what_kernels_may_compute_in(tmp_path):
    graph = convolution(torch.randn(4, 3, 3, 3))
    cases = (
        (graph, "float32", set()),
        (graph, "float16", {"--fp16"}),
        (rounded(graph), "float32", {"--int8"}),
        (rounded(graph), "float16", {"--fp16", "--int8"}),
    )
    for given, compute, flags in cases:
        build = emitted(given, tmp_path, compute=compute).build
        assert {"--fp16", "--int8"} & set(build) == flags
        assert {"--onnx=model.onnx", "--saveEngine=model.engine", "--timingCacheFile=timing.cache"} <= set(build)


def test_the_script_runs_the_command_that_the_manifest_names(tmp_path):
    build = emitted(convolution(torch.randn(4, 3, 3, 3)), tmp_path, compute="float16").build
    trtexec = tmp_path / "trtexec"
    trtexec.write_text('#!/bin/sh\nfor a in "$@"; do echo "$a"; done > arguments\n')
    trtexec.chmod(0o755)
    subprocess.run(["sh", "build_engine.sh"], check=True, cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert (tmp_path / "arguments").read_text().splitlines() == list(build[1:])
    assert not (tmp_path / "model.engine").exists()  # nothing pretends that one was built


def test_sparse_weights_stay_sparse_and_are_announced(tmp_path):
    w = torch.randn(4, 8, 3, 3)
    w[:, [0, 3, 4, 5]] = 0
    for graph in (convolution(w), rounded(convolution(w))):
        assert "--sparsity=enable" in emitted(graph, tmp_path).build
    assert "--sparsity=enable" not in emitted(convolution(torch.randn(4, 8, 3, 3)), tmp_path).build


def test_versions_are_those_of_the_platform(tmp_path):
    graph, platform = convolution(torch.randn(4, 3, 3, 3)), load_target("jetson").platform
    assert emitted(graph, tmp_path, platform=platform).requires == {"TensorRT": "10.3"}
    assert ">=10.3,<11" in (tmp_path / "build_engine.sh").read_text()
    strong = platform.at("11.0")
    build = emitted(rounded(graph), tmp_path, platform=strong).build
    assert not {"--fp16", "--int8"} & set(build)  # networks are typed strongly from version 11 on


@pytest.mark.parametrize("version, computes", [("10.13", "float32"), ("11.0", "float16")])
def test_half_precision_is_a_flag_of_the_build_or_in_the_file(tmp_path, version, computes):
    platform = load_target("jetson").platform.at(version)
    written = emitted(convolution(torch.randn(4, 3, 3, 3)), tmp_path, platform=platform, compute="float16")
    assert ("--fp16" in written.build) == (computes == "float32")
    assert [op.dtype for op in written.ops if op.name == "Conv"] == [computes]
    assert [spec.dtype for spec in (*written.inputs, *written.outputs)] == ["float32", "float32"]


def test_a_broken_rule_is_noted_with_its_fix(tmp_path):
    def function(x, w):
        return aten.linear.default(aten.fake_quantize_per_tensor_affine.default(x, 0.1, 3, -128, 127), w)

    notes = emitted(graph_of(function, [torch.randn(1, 4)], "head", w=torch.randn(2, 4)), tmp_path).notes
    assert any(note.startswith("TensorRT: head/QuantizeLinear") and "zero point 0" in note for note in notes)
