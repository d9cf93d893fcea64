"""The whole reference set: canonical form computes what the source does, in the vocabulary, without interior permutes."""

import copy
import functools

import pytest
import torch

from edgekit.canonicalize import canonicalize, inlined, outside
from edgekit.canonicalize.batched import batched
from edgekit.canonicalize.erase_noops import erase_noops
from edgekit.canonicalize.fold_constants import fold_constants
from edgekit.canonicalize.views import views
from edgekit.loading import export
from edgekit.testing.proving import CheckMeta, operators, rewritten
from edgekit.testing.reference import REFERENCE, names

TOLERANCE = 1e-5


@functools.lru_cache(maxsize=1)
def prepared(name):
    model = REFERENCE[name]()
    exported = export(model.model, model.example_inputs)
    return model, exported, canonicalize(exported)


def relative(a, b):
    return float((a.double() - b.double()).abs().max() / b.double().abs().max().clamp_min(1e-30))


def fitting(graph, inputs):
    return [x.to(getattr(torch, spec.dtype)) for x, spec in zip(inputs, graph.inputs, strict=True)]


@pytest.mark.parametrize("name", names())
def test_reference(name):
    model, exported, graph = prepared(name)
    assert outside(graph.module.graph) == []
    _check_numbers(model, exported, graph)
    CheckMeta(graph.module).run(*fitting(graph, model.inputs(5, 1)))
    _check_constants(graph)
    if model.framework == "keras":
        _check_permutes(graph)
    _check_batched(model, graph)


def _check_numbers(model, exported, graph):
    """In double precision, where only the rewrites differ; and in float32, beyond the source's own rounding."""
    inputs = model.inputs(3, 1)
    source = rewritten(inlined(exported.program), views, erase_noops, fold_constants).double()
    canonical = copy.deepcopy(graph.module).double()
    wide = [x.double() if x.is_floating_point() else x for x in inputs]
    with torch.no_grad():
        exact = source(*wide)
        results = canonical(*[x if x.is_floating_point() else x.to(torch.int32) for x in wide])
    for got, want in zip(results, exact, strict=True):
        assert relative(got, want) <= TOLERANCE
    for got, want, true in zip(graph(*fitting(graph, inputs)), model.run(*inputs), exact, strict=True):
        assert got.shape == want.shape
        assert relative(got, want) <= TOLERANCE + 2 * relative(want, true)


def _check_constants(graph):
    """Every weight is used, and batch norms are gone from behind convolutions."""
    used = {n.target for n in graph.nodes if n.op == "get_attr"}
    assert used == {name for name, _ in graph.module.named_buffers()}
    assert not [n for n in graph.nodes if n.op == "get_attr" and n.meta["val"].dtype not in (torch.float32, torch.int32, torch.bool)]


def _check_permutes(graph):
    """One at each edge of rank 3 or more, and two around each channels-last normalization inside."""
    count = operators(graph.module.graph)
    edges = sum(len(spec.shape) >= 3 for spec in (*graph.inputs, *graph.outputs))
    assert count["permute"] <= edges + 2 * count["layer_norm"]


def _check_batched(model, graph):
    several = batched(graph)
    assert several is not None
    inputs = fitting(graph, model.inputs(7, 3))
    together = several(*inputs)
    apart = [torch.cat(parts) for parts in zip(*(graph(*(x[i : i + 1] for x in inputs)) for i in range(3)), strict=True)]
    for got, want in zip(together, apart, strict=True):
        assert relative(got, want) <= 1e-3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ic_resnet8", {"convolution": 9, "add": 3, "relu": 7, "mean": 1, "linear": 1, "softmax": 1, "permute": 1, "pad": 2, "reshape": 1}),
        ("cifar_resnet20", {"convolution": 19, "add": 9, "linear": 1}),
        ("keras_mobilenet_v2", {"convolution": 52, "add": 10, "clamp": 35, "mean": 1, "linear": 1, "permute": 1}),
        ("keras_mobilenet_v3_small", {"hardswish": 19, "hardsigmoid": 9, "permute": 1, "reshape": 1}),
        ("bert", {"scaled_dot_product_attention": 2, "layer_norm": 5, "gelu": 2, "linear": 13, "embedding": 1}),
        ("lstm_classifier", {"lstm": 1}),
        ("keras_gru", {"gru": 2}),
    ],
)
def test_known_counts(name, expected):
    count = operators(prepared(name)[2].module.graph)
    assert {k: count[k] for k in expected} == expected


def test_ids_are_int32_with_a_note():
    graph = prepared("bert")[2]
    assert {s.dtype for s in graph.inputs} == {"int32"}
    assert any("int32 instead of int64" in note for note in graph.notes)


def test_every_keras_node_knows_its_layer():
    graph = prepared("keras_mobilenet_v2")[2]
    unnamed = [n for n in graph.nodes if n.op == "call_function" and not n.meta["module_path"]]
    assert [str(n.target) for n in unnamed] == []


def test_the_program_is_not_touched():
    _, exported, _ = prepared("ic_resnet8")
    before = str(exported.program.graph)
    canonicalize(exported)
    assert str(exported.program.graph) == before
