"""What every converter and its runtime promise, on tiny graphs: one test over all of them.

A converter of your own is tested by adding its name here, or by running this file with it registered as an entry point.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from edgekit import plugins
from edgekit.compress.quantize import Quantize
from edgekit.conversion.lowering import lower
from edgekit.conversion.running import request, run_file, run_graph, runtime_for
from edgekit.data import Samples
from edgekit.errors import ConversionError, DataError, EdgekitError, LoadError, UsageError
from edgekit.graph import Graph, grid_of
from edgekit.plugins import Encoding, RunRequest
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.tensors import TensorSpec
from edgekit.testing.graphs import graph_of
from edgekit_converters._edges import results

aten = torch.ops.aten
CONVERTERS = plugins.names("converters")
RULES = load_rules("litert")
FLOAT_EDGES = ("coreml", "mnn")
"""Formats whose files take and give floats only."""


def perceptron(x, w, b, v):
    return aten.linear.default(aten.relu.default(aten.linear.default(x, w, b)), v)


def two_sided(x, y, w):
    both = aten.add.Tensor(x, y)
    return aten.linear.default(both, w), aten.relu.default(both)


def normals(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape) + shape[0]))


def graphs() -> dict[str, Graph]:
    image = graph_of(
        lambda x, k, b: aten.relu.default(aten.convolution.default(x, k, b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)),
        [torch.zeros(1, 3, 8, 8)],
        "stem",
        k=normals(4, 3, 3, 3),
        b=normals(4),
    )
    return {
        "perceptron": graph_of(perceptron, [torch.zeros(1, 6)], "head", w=normals(8, 6), b=normals(8), v=normals(3, 8)),
        "image": image,
        "two inputs and outputs": graph_of(two_sided, [torch.zeros(1, 6), torch.zeros(1, 6)], "pair", w=normals(5, 6)),
    }


@pytest.fixture(params=CONVERTERS)
def converter(request):
    found = plugins.load("converters", request.param)
    if request.param == "litert":
        pytest.importorskip("ai_edge_litert")
    return found


@pytest.fixture(params=list(graphs()))
def graph(request):
    return graphs()[request.param]


@pytest.fixture
def samples(graph):
    rng = np.random.default_rng(0)
    return Samples({s.name: rng.standard_normal((3, *s.shape[1:])).astype(np.float32) for s in graph.inputs})


def rules_of(converter):
    """The format's own rules where it has no kernels for those of LiteRT."""
    return load_rules(converter.name) if converter.name in FLOAT_EDGES else RULES


def quantized(converter, graph, samples):
    rules = rules_of(converter)
    return Quantize("w8a8", calibration="minmax")(lower(graph, rules), Context(rules, samples))


def integer_edges(converter):
    return "float32" if converter.name in FLOAT_EDGES else "int8"


def run(converter, folder, emitted, samples, delegate="xnnpack"):
    job = request(folder / emitted.model_file, delegate)
    return run_file(runtime_for(converter.name), job, inputs=emitted.inputs, outputs=emitted.outputs, samples=samples.inputs)


def test_it_says_what_it_is(converter):
    assert plugins.load("converters", converter.name) is converter
    assert converter.suffix.startswith(".")
    assert isinstance(converter.extra, str)
    assert converter.reader is None or ":" in converter.reader
    assert runtime_for(converter.name).formats.count(converter.name) == 1


def test_a_float_file_computes_what_the_graph_computes(converter, graph, samples, tmp_path):
    emitted = converter.emit(lower(graph, RULES), tmp_path, Encoding())
    assert (tmp_path / emitted.model_file).suffix == converter.suffix
    assert [(s.name, s.shape, s.dtype) for s in emitted.inputs] == [(s.name, s.shape, s.dtype) for s in graph.inputs]
    assert [(s.name, s.shape, s.dtype) for s in emitted.outputs] == [(s.name, s.shape, s.dtype) for s in graph.outputs]
    expected, got = run_graph(graph, samples.inputs), run(converter, tmp_path, emitted, samples)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5)


def test_an_int8_file_computes_what_the_quantized_graph_predicts(converter, graph, samples, tmp_path):
    final, dtype = quantized(converter, graph, samples), integer_edges(converter)
    emitted = converter.emit(final, tmp_path, Encoding(dtype, dtype))
    expected, got = run_graph(final, samples.inputs), run(converter, tmp_path, emitted, samples)
    for spec, node in zip(emitted.outputs, results(final), strict=True):
        assert spec.dtype == dtype
        grid = spec.grid or grid_of(node)
        step = grid.scale[0] if grid else 0.02 * np.abs(expected[spec.name]).max()  # kernels that give floats
        assert np.abs(got[spec.name] - expected[spec.name]).max() <= 1.01 * step


def test_edge_dtypes_are_those_asked_for(converter, graph, samples, tmp_path):
    final = quantized(converter, graph, samples)
    if converter.name in FLOAT_EDGES:
        with pytest.raises(ConversionError, match="float"):
            converter.emit(final, tmp_path, Encoding("int8", "int8"))
        return
    for given, made in (("uint8", "int8"), ("float32", "uint8"), ("int8", "float32")):
        folder = tmp_path / given
        folder.mkdir()
        emitted = converter.emit(final, folder, Encoding(given, made))
        assert ({s.dtype for s in emitted.inputs}, {s.dtype for s in emitted.outputs}) == ({given}, {made})
        found = runtime_for(converter.name).inspect(request(folder / emitted.model_file))
        for side, specs in (("inputs", emitted.inputs), ("outputs", emitted.outputs)):
            written = {s.name: s for s in map(TensorSpec.from_json, found[side])}
            assert {n: (s.shape, s.dtype) for n, s in written.items()} == {s.name: (s.shape, s.dtype) for s in specs}


def test_integer_edges_of_a_float_graph_are_refused(converter, graph, tmp_path):
    with pytest.raises(ConversionError, match="float"):
        converter.emit(lower(graph, RULES), tmp_path, Encoding(input_dtype="int8"))


def test_operators_know_the_users_module(converter, graph, tmp_path):
    emitted = converter.emit(lower(graph, RULES), tmp_path, Encoding())
    assert {op.module for op in emitted.ops} <= {"head", "stem", "pair", ""}
    assert any(op.module for op in emitted.ops)
    assert all(op.name and op.dtype == "float32" for op in emitted.ops)


def test_the_same_graph_gives_the_same_bytes(converter, graph, samples, tmp_path):
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        dtype = integer_edges(converter)
        emitted = converter.emit(quantized(converter, graph, samples), tmp_path / name, Encoding(dtype, dtype, description="same"))
        folder = tmp_path / name
        written.append({str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    assert written[0] == written[1]
    assert any(path.startswith(emitted.model_file) for path in written[0])


def test_emitting_changes_no_graph(converter, graph, tmp_path):
    lowered = lower(graph, RULES)
    before = str(lowered.module.graph)
    converter.emit(lowered, tmp_path, Encoding())
    assert str(lowered.module.graph) == before


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x1c\0\0\0TFL3" + bytes(64), b"PK\3\4" + bytes(64)])
def test_a_damaged_file_is_one_clear_error(converter, tmp_path, content):
    path = tmp_path / f"model{converter.suffix}"
    path.write_bytes(content)
    with pytest.raises(EdgekitError) as caught:
        runtime_for(converter.name).run(RunRequest(path), {"x": np.zeros((1, 2), np.float32)})
    assert len(str(caught.value)) < 600
    with pytest.raises(LoadError):
        runtime_for(converter.name).run(RunRequest(tmp_path / "missing"), {"x": np.zeros((1, 2), np.float32)})


def test_wrong_inputs_are_one_clear_error(converter, samples, graph, tmp_path):
    emitted = converter.emit(lower(graph, RULES), tmp_path, Encoding())
    runtime, job = runtime_for(converter.name), RunRequest(tmp_path / emitted.model_file)
    name = emitted.inputs[0].name
    wrong = (
        {"other": samples.inputs[name]},
        {**samples.inputs, name: samples.inputs[name].astype(np.int8)},
        {**samples.inputs, name: samples.inputs[name][..., :1]},
    )
    for inputs in wrong:
        with pytest.raises(DataError):
            runtime.run(job, inputs)


def test_unknown_names_list_the_known_ones():
    for kind in ("converters", "runtimes"):
        with pytest.raises(UsageError, match="fake"):
            plugins.load(kind, "nothing")


@pytest.mark.parametrize("name", plugins.names("runtimes"))
def test_runtimes_import_no_torch(name):
    code = f"import sys; from edgekit import plugins; plugins.load('runtimes', {name!r}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
