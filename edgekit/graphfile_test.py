"""A graph that went through a file is the same graph."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import edgekit
from edgekit.compress.quantize import Quantize
from edgekit.constraints import Codebook, Mask
from edgekit.conversion.lowering import lower
from edgekit.data import Samples
from edgekit.errors import LoadError, UsageError
from edgekit.graph import aten, constrain, constraints_of
from edgekit.graphfile import load_graph, save_graph
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of
from edgekit.testing.reference import REFERENCE


def returned(graph, tmp_path):
    save_graph(graph, tmp_path / "graph.safetensors")
    return load_graph(tmp_path / "graph.safetensors")


def same(first, second, *inputs):
    assert str(first.module.graph) == str(second.module.graph)
    assert (first.inputs, first.outputs, first.source, first.notes) == (second.inputs, second.outputs, second.source, second.notes)
    for a, b in zip(first.nodes, second.nodes, strict=True):
        assert a.meta.get("module_path") == b.meta.get("module_path")
        for x, y in zip(flat(a.meta.get("val")), flat(b.meta.get("val")), strict=True):
            assert (x.shape, x.dtype, x.stride(), x.device) == (y.shape, y.dtype, y.stride(), y.device)
    for x, y in zip(first(*inputs), second(*inputs), strict=True):
        assert torch.equal(x, y)
    return True


def flat(val):
    return [] if val is None else [v for v in val if v is not None] if isinstance(val, (list, tuple)) else [val]


@pytest.mark.parametrize("name", ["gru_classifier", "bilstm_classifier", "unet", "bert", "detector"])
def test_reference_models_survive(name, tmp_path):
    model = REFERENCE[name]()
    graph = edgekit.load(model.model, model.example_inputs)
    assert same(graph, returned(graph, tmp_path), *model.inputs(1, 1))


def perceptron(x, w, b):
    return aten.clamp.default(aten.linear.default(x, w, b), 0.0, 6.0)


def graph():
    return graph_of(perceptron, [torch.zeros(1, 64)], "head", w=torch.randn(8, 64), b=torch.randn(8))


@pytest.mark.parametrize("scheme", ["w8a8", "w4b32", "fp16", "w8ad8"])
def test_quantized_graphs_survive(scheme, tmp_path):
    rules, samples = load_rules("litert"), Samples({"x0": np.random.default_rng(0).standard_normal((4, 64)).astype("f4")})
    rounded = Quantize(scheme)(lower(graph(), rules), Context(rules, samples))
    assert same(rounded, returned(rounded, tmp_path), torch.randn(1, 64))


def test_what_passes_imposed_survives(tmp_path):
    first = graph()
    weight = next(n for n in first.nodes if n.target == "w")
    kept = torch.rand(8, 64) > 0.5
    with torch.no_grad():
        first.module.w.copy_(torch.tensor([-1.0, 1.0])[torch.randint(0, 2, (8, 64))] * kept)
    constrain(weight, Mask("w", kept), Codebook("w", 1, torch.tensor([[-1.0, 1.0]]), sparse=True))
    second = returned(first, tmp_path)
    mask, codebook = constraints_of(next(n for n in second.nodes if n.target == "w"))
    assert torch.equal(mask.kept, kept)
    assert (codebook.bits, codebook.sparse, codebook.tables.tolist()) == (1, True, [[-1.0, 1.0]])


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path):
    shared = torch.randn(256, 256)
    tied = graph_of(lambda x, a, b: aten.linear.default(aten.linear.default(x, a), b), [torch.zeros(1, 256)], a=shared, b=shared)
    second = returned(tied, tmp_path)
    assert (tmp_path / "graph.safetensors").stat().st_size < 1.2 * shared.nbytes
    assert second.module.a.data_ptr() == second.module.b.data_ptr()


def test_overlapping_views_survive(tmp_path):
    whole = torch.randn(8, 4)
    views = graph_of(lambda x, a, b: aten.linear.default(aten.linear.default(x, a), b), [torch.zeros(1, 4)], a=whole[:4], b=whole[2:6])
    assert same(views, returned(views, tmp_path), torch.randn(1, 4))


def test_infinite_arguments_survive(tmp_path):
    unbounded = graph_of(lambda x: aten.clamp.default(x, float("-inf"), float("inf")), [torch.zeros(1, 4)])
    assert same(unbounded, returned(unbounded, tmp_path), torch.randn(1, 4))


def test_what_has_no_form_is_refused(tmp_path):
    odd = graph()
    next(n for n in odd.nodes if n.op == "call_function").kwargs = {"bias": torch.Generator()}
    with pytest.raises(UsageError, match="cannot be saved"):
        save_graph(odd, tmp_path / "graph")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "graph"
    with pytest.raises(LoadError):
        load_graph(path)
    path.write_bytes(b"nonsense" * 20)
    with pytest.raises(LoadError, match="not a saved graph"):
        load_graph(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(LoadError, match="not a saved graph"):
        load_graph(path)
    save_file({"x": torch.zeros(1)}, path, {"graph": '{"schema": "other"}'})
    with pytest.raises(LoadError, match="schema"):
        load_graph(path)


def test_nothing_but_operators_is_called(tmp_path):
    save_graph(graph(), tmp_path / "graph")
    content = (tmp_path / "graph").read_bytes()
    (tmp_path / "graph").write_bytes(content.replace(b"aten.linear.default", b"os.linear.system000"))
    with pytest.raises(LoadError, match="calls"):
        load_graph(tmp_path / "graph")
