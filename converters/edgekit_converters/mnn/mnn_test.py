"""MNN files hold the graph's own numbers: read back without MNN, and run on it."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit import plugins
from edgekit.compress.cluster import Cluster
from edgekit.compress.quantize import Quantize
from edgekit.conversion import explain
from edgekit.conversion.lowering import lower
from edgekit.conversion.readback import check_weights
from edgekit.conversion.running import request, run_file, run_graph
from edgekit.data import Samples
from edgekit.errors import ConversionError, LoadError
from edgekit.graph import aten, constant_value, grid_of, is_call
from edgekit.plugins import Encoding, RunRequest
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.tensors import Grid
from edgekit.testing.graphs import graph_of

pytest.importorskip("MNN")
from edgekit_converters.mnn import grids
from edgekit_converters.mnn.coding import Weight, coded_weights, decode, encode
from edgekit_converters.mnn.flat import Table
from edgekit_converters.mnn.native import refusal
from edgekit_converters.mnn.parameters import plain
from edgekit_converters.mnn.reader import described
from edgekit_converters.mnn.schema import OPERATORS, Coded, Convolution2D, Net, Op

RULES = load_rules("mnn")


def block(x, k, b, v, c):
    """A convolution with relu, a residual and a classifier."""
    stem = aten.relu.default(aten.convolution.default(x, k, b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1))
    both = aten.relu.default(aten.add.Tensor(x, aten.convolution.default(stem, k, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)))
    return aten.linear.default(aten.reshape.default(both, [1, 256]), v, c)


@pytest.fixture(scope="module")
def graph():
    draw = torch.Generator().manual_seed(0)
    parts = {"k": (4, 4, 3, 3), "b": (4,), "v": (10, 256), "c": (10,)}
    constants = {name: torch.randn(shape, generator=draw) * 0.2 for name, shape in parts.items()}
    return lower(graph_of(block, [torch.zeros(1, 4, 8, 8)], "net", **constants), RULES)


@pytest.fixture(scope="module")
def samples():
    return Samples({"x0": np.random.default_rng(0).standard_normal((16, 4, 8, 8)).astype(np.float32)})


def written(graph, folder):
    emitted = plugins.load("converters", "mnn").emit(graph, folder, Encoding())
    return emitted, (folder / emitted.model_file).read_bytes()


def run(emitted, folder, samples):
    job = request(folder / emitted.model_file)
    return run_file(plugins.load("runtimes", "mnn"), job, inputs=emitted.inputs, outputs=emitted.outputs, samples=samples.inputs)["y0"]


def convolutions(content):
    """Scales and bits of each layer's weight, by name."""
    found = {}
    for op in Table.root(content).tables(Net.OPS):
        coded = op.table(Op.PARAMETERS).table(Convolution2D.CODED) if OPERATORS[op.integer(Op.TYPE)] == "Convolution" else None
        if coded is not None:
            found[op.text(Op.NAME)] = (coded.numbers(Coded.SCALES, "<f4"), coded.integer(Coded.BITS))
    return found


def test_int8_files_have_the_graphs_grids_and_answers(graph, samples, tmp_path):
    final = Quantize("w8a8", calibration="minmax")(graph, Context(RULES, samples))
    emitted, content = written(final, tmp_path)
    tensors = {t["name"]: t["grid"] for t in described(content)["tensors"] if t["grid"]}
    wanted = {grid_of(n).scale[0] for n in final.nodes if grid_of(n) and constant_value(n.args[0]) is None}
    assert sorted({t["scale"][0] for t in tensors.values()}) == pytest.approx(sorted(wanted))
    assert all(t["zero_point"] == [0] for t in tensors.values())
    weights = [grid_of(n) for n in final.nodes if grid_of(n) and constant_value(n.args[0]) is not None]
    for scales, _ in convolutions(content).values():
        assert any(len(g.scale) == len(scales) and np.allclose(g.scale, scales, rtol=1e-6) for g in weights)
    got, predicted = run(emitted, tmp_path, samples), run_graph(final, samples.inputs)["y0"]
    step = grid_of(final.nodes[-1].args[0][0]).scale[0]
    assert np.abs(got - predicted).max() <= 1.01 * step
    assert {op.dtype for op in emitted.ops if op.name in ("Convolution", "BinaryOp")} == {"int8"}
    assert {op.module for op in emitted.ops if op.name == "Convolution"} == {"net"}


@pytest.mark.parametrize(("scheme", "bits"), [("w8", 8), ("w4", 4), ("w4b32", 4)])
def test_compressed_weights_are_the_graphs(graph, samples, tmp_path, scheme, bits):
    final = Quantize(scheme)(graph, Context(RULES, samples))
    emitted, content = written(final, tmp_path)
    predicted = run_graph(final, samples.inputs)["y0"]
    np.testing.assert_allclose(run(emitted, tmp_path, samples), predicted, atol=2e-5 * np.abs(predicted).max())
    coded = convolutions(content)
    assert {b for _, b in coded.values()} <= {bits, 8}
    assert min(b for _, b in coded.values()) == bits
    assert any(len(scales) == (80 if scheme == "w4b32" else 10) for scales, _ in coded.values())


def up_and_groups(x, t, b, g, d):
    """A transposed convolution that doubles the size, one in groups, and a depthwise one with two filters a channel."""
    wide = aten.relu.default(aten.convolution.default(x, t, b, [2, 2], [1, 1], [1, 1], True, [0, 0], 1))
    parted = aten.relu.default(aten.convolution.default(wide, g, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 2))
    return aten.convolution.default(parted, d, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 8)


@pytest.fixture(scope="module")
def parted():
    draw = torch.Generator().manual_seed(0)
    parts = {"t": (4, 6, 4, 4), "b": (6,), "g": (8, 3, 3, 3), "d": (16, 1, 3, 3)}
    constants = {name: torch.randn(shape, generator=draw) * 0.2 for name, shape in parts.items()}
    return lower(graph_of(up_and_groups, [torch.zeros(1, 4, 8, 8)], "net", **constants), RULES)


@pytest.mark.parametrize("scheme", ["w2", "w3", "w4", "w5", "w6", "w7", "w8", "w8a8"])
def test_every_width_of_every_convolution(parted, samples, tmp_path, scheme):
    final = Quantize(scheme, calibration="minmax")(parted, Context(RULES, samples))
    emitted, content = written(final, tmp_path)
    assert not any("float32" in n or "instead of" in n for n in (*final.notes, *emitted.notes)), final.notes
    got, predicted = run(emitted, tmp_path, samples), run_graph(final, samples.inputs)["y0"]
    step = grid_of(final.nodes[-1].args[0][0]).scale[0] if scheme == "w8a8" else 2e-5 * np.abs(predicted).max()
    assert np.abs(got - predicted).max() <= 1.01 * step
    assert {b for _, b in convolutions(content).values()} == {int(scheme[1])}
    assert not any(op.name.startswith("Deconvolution") for op in emitted.ops)


def test_weights_are_the_graphs_where_mnn_would_round_by_other_scales(graph, samples, tmp_path):
    """Channels that share a table share a scale, which is not what MNN finds for each."""
    clustered = Cluster(4)(graph, Context(RULES))
    final = Quantize("w8")(clustered, Context(RULES))
    _, content = written(final, tmp_path)
    by_name = {}
    for name, coded in coded_weights(content):
        steps, scales = decode(coded)
        by_name[name] = steps * scales[:, None]
        assert len(np.unique(scales)) == 1 and len(np.unique(steps)) <= 16
    wanted = [constant_value(n).flatten(1).numpy() for n in plain(final).graph.nodes if n.op == "get_attr" and constant_value(n).dim() == 4]
    for weight in by_name.values():
        assert any(weight.shape == w.shape and np.allclose(weight, w, rtol=1e-6) for w in wanted)


def test_a_weight_that_was_changed_is_found(graph, tmp_path):
    emitted, content = written(Quantize("w4b32")(graph, Context(RULES)), tmp_path)
    runtime, path = plugins.load("runtimes", "mnn"), tmp_path / emitted.model_file
    assert len(emitted.weights) == 3
    check_weights(runtime, path, emitted)
    name, coded = coded_weights(content)[-1]
    _, stop = coded.span(Coded.BUFFER, 1)
    path.write_bytes(content[: stop - 1] + bytes([content[stop - 1] ^ 1]) + content[stop:])
    with pytest.raises(ConversionError, match=f"constant '{name}' differs in 1 of"):
        check_weights(runtime, path, emitted)


@given(st.integers(2, 8), st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**16))
@settings(max_examples=50)
def test_coded_weights_come_back(bits, rows, columns, seed):
    steps = np.random.default_rng(seed).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (rows, columns)).astype(np.int8)
    found, _ = decode(Held({Coded.BUFFER: encode(Weight(steps, np.ones(rows, np.float32), bits))}))
    np.testing.assert_array_equal(found, steps)


@dataclass
class Held:
    """What stands for a table of a file."""

    fields: dict[int, bytes]

    def numbers(self, field, dtype):
        return np.frombuffer(self.fields.get(field, b""), dtype)

    def scalar(self, field, kind, default):
        return default


def test_half_precision_halves_the_file(graph, samples, tmp_path):
    for name in ("float32", "fp16"):
        (tmp_path / name).mkdir()
    whole = len(written(graph, tmp_path / "float32")[1])
    final = Quantize("fp16")(graph, Context(RULES, samples))
    emitted, content = written(final, tmp_path / "fp16")
    assert len(content) < 0.6 * whole
    np.testing.assert_allclose(run(emitted, tmp_path / "fp16", samples), run_graph(graph, samples.inputs)["y0"], atol=0.02)


def test_linear_layers_become_convolutions_without_shape_arithmetic(graph, tmp_path):
    emitted, _ = written(graph, tmp_path)
    assert {op.name for op in emitted.ops} <= {"Convolution", "BinaryOp", "Reshape", "ConvertTensor"}


def test_convolutions_in_one_dimension_are_planes(tmp_path):
    draw = torch.Generator().manual_seed(0)
    line = graph_of(
        lambda x, k, b: aten.convolution.default(x, k, b, [2], [1], [1], False, [0], 1),
        [torch.zeros(1, 4, 20)],
        "line",
        k=torch.randn(6, 4, 3, generator=draw),
        b=torch.randn(6, generator=draw),
    )
    samples = Samples({"x0": np.random.default_rng(0).standard_normal((8, 4, 20)).astype(np.float32)})
    for scheme in ("float32", "w8a8"):
        final = Quantize(scheme, calibration="minmax")(line, Context(RULES, samples))
        (tmp_path / scheme).mkdir()
        emitted, _ = written(final, tmp_path / scheme)
        got, predicted = run(emitted, tmp_path / scheme, samples), run_graph(final, samples.inputs)["y0"]
        assert np.abs(got - predicted).max() <= (1e-5 if scheme == "float32" else 0.01) * np.abs(predicted).max()


def test_taking_a_graph_apart_changes_no_answer(graph, samples):
    final = Quantize("w8a8", calibration="minmax")(graph, Context(RULES, samples))
    found = plain(final)
    assert not any(grid_of(n) for n in found.graph.nodes)
    rounded, unrounded = run_graph(final, samples.inputs)["y0"], run_graph(found.graph, samples.inputs)["y0"]
    assert 0 < np.abs(rounded - unrounded).max() < 0.2 * np.abs(rounded).max()
    assert any(is_call(n, aten.linear.default) for n in final.nodes), "the graph given is left as it was"


def test_descriptions_are_added_and_kept(graph, samples, tmp_path):
    final = Quantize("w8a8", calibration="minmax")(graph, Context(RULES, samples))
    _, content = written(final, tmp_path)
    before = grids.written(Table.root(content))
    names = Table.root(content).texts(Net.TENSOR_NAMES)
    free = next(i for i in range(len(names)) if i not in before)
    again = grids.described(content, {names[free]: Grid("int8", (0.5,), (3,)), "no such tensor": Grid("int8", (1.0,), (0,))})
    assert grids.written(Table.root(again)) == before | {free: Grid("int8", (0.5,), (3,))}
    assert described(again)["ops"][0]["name"] == described(content)["ops"][0]["name"]


def test_what_a_file_has_no_place_for_is_noted(graph, tmp_path):
    told = Encoding(labels=tuple("0123456789"), author="A. Smith", licence="MIT")
    emitted = plugins.load("converters", "mnn").emit(graph, tmp_path, told)
    assert "metadata: MNN files have no place for author, licence, labels: the manifest has them" in emitted.notes


def test_integer_edges_are_refused(graph, tmp_path):
    with pytest.raises(ConversionError, match="float") as caught:
        plugins.load("converters", "mnn").emit(graph, tmp_path, Encoding(input_dtype="int8"))
    assert caught.value.accepted == "float32"


def test_what_its_converter_refuses_names_operator_and_module():
    from edgekit.worker import Crash, WorkerCrashed

    crash = WorkerCrashed("m:convert", Crash("SIGABRT", "Start\nThese Op Not Support: ONNX::Det | ONNX::Foo\n"))
    error = refusal(crash, {"Det": "head.inverse"})
    assert (error.op, error.module) == ("Det", "head.inverse")
    assert "no Det" in str(error)


def test_explain_reads_a_file_without_running_it_blindly(graph, samples, tmp_path):
    final = Quantize("w8a8", calibration="minmax")(graph, Context(RULES, samples))
    emitted, _ = written(final, tmp_path)
    found = explain(tmp_path / emitted.model_file)
    assert found.format == "mnn"
    assert found.counts["Convolution"] == 3
    assert [(s.name, s.shape, s.dtype) for s in found.inputs] == [("x0", (1, 4, 8, 8), "float32")]
    assert {f.kind for f in found.findings} >= {"transpose"}


@pytest.mark.parametrize("content", [b"", b"nonsense", bytes(200), b"\xff" * 200])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model.mnn"
    path.write_bytes(content)
    with pytest.raises(LoadError, match=r"model\.mnn"):
        explain(path)
    with pytest.raises(LoadError):
        plugins.load("runtimes", "mnn").run(RunRequest(path), {"x": np.zeros((1, 2), np.float32)})


def test_cut_files_are_an_error(graph, tmp_path):
    _, content = written(graph, tmp_path)
    for cut in np.linspace(8, len(content) - 64, 12).astype(int):
        (tmp_path / "cut.mnn").write_bytes(content[:cut])
        try:
            explain(tmp_path / "cut.mnn")
        except LoadError:
            continue
