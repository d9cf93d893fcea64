"""Our files beside torch.onnx' of the same models, and under polygraphy: other people's eyes."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgekit.canonicalize import canonicalize
from edgekit.conversion.lowering import lower
from edgekit.data.samples import Samples
from edgekit.loading import export
from edgekit.testing.reference import REFERENCE
from edgekit_converters.onnx.testing import RULES, names, quantized, run, write

COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "MaxPool", "LSTM", "GRU", "Resize", "Softmax", "Transpose", "Reshape")


def ours(name):
    reference = REFERENCE[name]()
    return reference, lower(canonicalize(export(reference.model, reference.example_inputs)), RULES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "gru_classifier"])
def test_no_more_operators_than_torch_onnx_and_the_same_answer(name):
    pytest.importorskip("onnxscript")
    reference, graph = ours(name)
    _, content = write(graph)
    with torch.no_grad():
        theirs = torch.onnx.export(reference.model, reference.example_inputs, dynamo=True, verbose=False, opset_version=19).model_proto
    mine, other = Counter(names(onnx.load_from_string(content))), Counter(names(theirs))
    assert all(mine[op] <= other[op] for op in COUNTED), (mine, other)
    feeds = [
        {s.name: x.numpy() for s, x in zip(edges, reference.example_inputs, strict=True)} for edges in (graph.inputs, theirs.graph.input)
    ]
    for got, want in zip(run(content, feeds[0]), run(theirs.SerializeToString(), feeds[1]), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * float(np.abs(want).max()))


def polygraphy(*arguments):
    """Its command, as a user calls it."""
    command = Path(sys.executable).with_name("polygraphy")
    return subprocess.run([str(command), *map(str, arguments)], check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_polygraphy_inspects_and_runs_an_int8_file(tmp_path):
    pytest.importorskip("polygraphy")
    _, graph = ours("unet")
    (spec,) = graph.inputs
    data = np.random.default_rng(0).standard_normal((4, *spec.shape[1:])).astype(np.float32)
    _, content = write(quantized(graph, Samples({spec.name: data})))
    (tmp_path / "model.onnx").write_bytes(content)
    shown = polygraphy("inspect", "model", tmp_path / "model.onnx", "--show", "layers")
    assert "QuantizeLinear" in shown and spec.name in shown
    polygraphy("run", tmp_path / "model.onnx", "--onnxrt", "--save-outputs", tmp_path / "outputs.json", "--seed", "1")
    saved = json.loads((tmp_path / "outputs.json").read_text())
    assert "onnxrt" in json.dumps(saved)[:2000]
