import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.canonicalize import canonicalize
from edgekit.compress.channels import find_channels
from edgekit.compress.channels.branches import branches
from edgekit.compress.channels.removal import removed
from edgekit.compress.costs import cost_of
from edgekit.compress.prune import Prune
from edgekit.constraints import Mask
from edgekit.graph import aten, constraints_of, infer, shape_of
from edgekit.loading import export
from edgekit.recipe import Context
from edgekit.targets import load_target
from edgekit.testing.channels import masked, some
from edgekit.testing.graphs import graph_of
from edgekit.testing.reference import REFERENCE, names

ALIKE = {"cifar_resnet56", "keras_mobilenet", "distilbert", "lstm_classifier", "bilstm_classifier", "keras_gru", "keras_bilstm"}
"""What these have, others of the reference set have, too."""
MODELS = [*(n for n in names() if isinstance(n, str) and n not in ALIKE), pytest.param("keras_convnext_tiny", marks=pytest.mark.slow)]
IMAGE = torch.zeros(1, 4, 8, 8)
RANDOM = torch.Generator().manual_seed(0)


def conv(x, w, b=None, groups=1):
    return aten.convolution.default(x, w, b, [1, 1], [w.node.meta.get("pad", 1)] * 2, [1, 1], False, [0, 0], groups)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * max(1.0, float(a.abs().max())))


def prunes_exactly(graph, inputs, seed=0):
    """Remove channels of every group and every other branch, check results, shapes and that something went; returns the smaller graph."""
    channels = find_channels(graph)
    exact = [group for group in channels.removable if group.exact]
    whole = list(branches(graph, channels, exact))[::2]
    gone = some(channels, seed).union(*(group.channels for group in whole))
    before = [node.name for node in graph.nodes]
    result = removed(graph, channels, gone)
    assert [node.name for node in graph.nodes] == before, "the given graph is left alone"
    for node in result.nodes:
        if node.op == "call_function":
            assert node.meta["val"] is not None
            inferred = infer(node.target, node.args, node.kwargs)
            if isinstance(inferred, torch.Tensor):
                assert shape_of(node) == tuple(inferred.shape), node
    for a, b in zip(masked(graph, channels, gone)(*inputs), result(*inputs), strict=True):
        close(a, b)
    assert bool(gone) == (cost_of(result).parameters < cost_of(graph).parameters)
    return result


@pytest.mark.parametrize("name", MODELS)
def test_reference_models_answer_as_if_what_went_were_zero(name):
    model = REFERENCE[name]()
    graph = canonicalize(export(model.model, model.example_inputs if model.framework == "pytorch" else None))
    prunes_exactly(graph, model.inputs(3, 1), seed=len(name))


WEIGHTS = {
    "w": (8, 4, 3, 3), "same": (8, 8, 3, 3), "back": (4, 8, 3, 3), "depth": (8, 1, 3, 3), "depth2": (16, 1, 3, 3), "grouped": (8, 4, 3, 3),
    "up": (8, 8, 3, 3), "b": (8,), "scale": (1, 8, 1, 1), "wide": (32, 8, 3, 3), "narrow": (8, 16, 3, 3), "v": (8,),
}  # fmt: skip

OPERATORS = {
    "conv": lambda x, y, k: conv(x, k["same"], k["b"]),
    "depthwise": lambda x, y, k: conv(x, k["depth"], k["b"], 8),
    "multiplier": lambda x, y, k: conv(conv(x, k["depth2"], None, 8), k["narrow"]),
    "grouped": lambda x, y, k: conv(x, k["grouped"], k["b"], 2),
    "transposed": lambda x, y, k: aten.convolution.default(x, k["up"], k["b"], [1, 1], [1, 1], [1, 1], True, [0, 0], 1),
    "relu": lambda x, y, k: aten.relu.default(x),
    "sigmoid": lambda x, y, k: aten.sigmoid.default(x),
    "add": lambda x, y, k: aten.add.Tensor(x, y),
    "scale": lambda x, y, k: aten.mul.Tensor(x, k["scale"]),
    "gate": lambda x, y, k: aten.mul.Tensor(x, aten.sigmoid.default(aten.mean.dim(y, [2, 3], True))),
    "cat": lambda x, y, k: conv(aten.cat.default([x, y], 1), k["narrow"]),
    "chunk": lambda x, y, k: aten.cat.default([aten.slice.Tensor(x, 1, 4, 8, 1), aten.slice.Tensor(y, 1, 0, 4, 1)], 1),
    "shuffle": lambda x, y, k: aten.reshape.default(
        aten.permute.default(aten.reshape.default(x, [1, 2, 4, 8, 8]), [0, 2, 1, 3, 4]), [1, 8, 8, 8]
    ),
    "pixels": lambda x, y, k: aten.max_pool2d.default(aten.pixel_shuffle.default(conv(x, k["wide"]), 2), [2, 2]),
    "unpixels": lambda x, y, k: conv(aten.slice.Tensor(aten.pixel_unshuffle.default(
        aten.upsample_nearest2d.vec(x, None, [2.0, 2.0]), 2), 1, 0, 16, 1), k["narrow"]),
    "pad": lambda x, y, k: conv(aten.pad.default(x, [0, 0, 0, 0, 3, 5], "constant", 0.0), k["narrow"]),
    "flip": lambda x, y, k: aten.flip.default(x, [1]),
    "glu": lambda x, y, k: aten.glu.default(aten.cat.default([x, y], 1), 1),
    "prelu": lambda x, y, k: aten.prelu.default(x, k["v"]),
    "instance": lambda x, y, k: aten.group_norm.default(x, 8, k["v"], k["b"], 1e-5),
    "repeat": lambda x, y, k: conv(aten.repeat.default(x, [1, 2, 1, 1]), k["narrow"]),
    "softmax": lambda x, y, k: aten.softmax.int(x, 1),
    "mean": lambda x, y, k: aten.mul.Tensor(y, aten.mean.dim(x, [1], True)),
    "where": lambda x, y, k: aten.where.self(aten.gt.Tensor(x, y), x, y),
    "gather": lambda x, y, k: aten.index_select.default(x, 1, k["rows"]),
    "topk": lambda x, y, k: aten.cat.default([aten.topk.default(x, 4, 1)[0], aten.slice.Tensor(y, 1, 0, 4, 1)], 1),
}  # fmt: skip


def chain(operators):
    def net(x0, **k):
        x = y = conv(x0, k["w"], k["b"])
        for name in operators:
            x, y = OPERATORS[name](x, y, k), x
        return conv(x, k["back"])

    constants = {name: torch.randn(*shape, generator=RANDOM) for name, shape in WEIGHTS.items()}
    return graph_of(net, [IMAGE], **constants, rows=torch.tensor([3, 1, 0, 7, 5, 2, 6, 4]))


@pytest.mark.parametrize("name", OPERATORS)
def test_each_operator(name):
    prunes_exactly(chain([name]), [torch.randn(1, 4, 8, 8, generator=RANDOM)], seed=1)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(sorted(OPERATORS)), max_size=6), st.integers(0, 99))
def test_any_chain_of_operators(operators, seed):
    prunes_exactly(chain(operators), [torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))], seed)


@settings(max_examples=20)
@given(st.sampled_from([(2, 4), (4, 2), (1, 8)]), st.booleans(), st.integers(0, 99))
def test_attention_loses_heads_or_the_width_of_a_single_one(heads, merged, seed):
    count, width = heads

    def net(x0, **k):
        if merged:
            parts = aten.permute.default(aten.reshape.default(aten.linear.default(x0, k["qkv"]), [1, 5, 3, count, width]), [2, 0, 3, 1, 4])
            cut = [aten.slice.Tensor(parts, 0, i, i + 1, 1) for i in range(3)]
            q, kk, v = (aten.reshape.default(part, [1, count, 5, width]) for part in cut)
        else:
            split = [aten.reshape.default(aten.linear.default(x0, k[w]), [1, 5, count, width]) for w in ("q", "k", "v")]
            q, kk, v = (aten.permute.default(part, [0, 2, 1, 3]) for part in split)
        attended = aten.scaled_dot_product_attention.default(q, kk, v)
        joined = aten.reshape.default(aten.permute.default(attended, [0, 2, 1, 3]), [1, 5, 8])
        return aten.linear.default(joined, k["out"])

    random = torch.Generator().manual_seed(seed)
    shapes = {"qkv": (24, 6)} if merged else {"q": (8, 6), "k": (8, 6), "v": (8, 6)}
    constants = {name: torch.randn(*shape, generator=random) for name, shape in (shapes | {"out": (6, 8)}).items()}
    graph = graph_of(net, [torch.zeros(1, 5, 6)], **constants)
    if count > 1:
        (group,) = find_channels(graph).removable
        assert len(group.channels) == count
    prunes_exactly(graph, [torch.randn(1, 5, 6, generator=random)], seed)


def test_masks_go_along():
    graph = Prune(sparsity=0.5)(chain(["conv", "add"]), Context(load_target("android").rules))
    channels = find_channels(graph)
    result = removed(graph, channels, some(channels, 3))
    held = [(node, c) for node in result.nodes for c in constraints_of(node)]
    assert len(held) == len(graph.constraints) > 0
    for node, mask in held:
        assert isinstance(mask, Mask)
        assert mask.kept.shape == shape_of(node)
        assert mask.holds(getattr(result.module, node.target))


def test_calls_that_share_a_weight_go_on_sharing_it():
    graph = graph_of(lambda x0, w, s, o: conv(conv(conv(conv(x0, w), s), s), o), [IMAGE],
                     w=torch.randn(8, 4, 3, 3), s=torch.randn(8, 8, 3, 3), o=torch.randn(4, 8, 3, 3))  # fmt: skip
    result = prunes_exactly(graph, [torch.randn(1, 4, 8, 8)], seed=2)
    assert len(list(result.module.buffers())) == 3


def test_equal_vectors_of_other_layers_do_not_tie_them():
    graph = graph_of(lambda x0, w, s, o, b: conv(conv(conv(x0, w, b), s, b), o), [IMAGE],
                     w=torch.randn(8, 4, 3, 3), s=torch.randn(8, 8, 3, 3), o=torch.randn(4, 8, 3, 3), b=torch.zeros(8))  # fmt: skip
    channels = find_channels(graph)
    assert [len(group.channels) for group in channels.removable] == [8, 8]
    first, second = channels.removable
    result = removed(graph, channels, {first.channels[0], *second.channels[:3]})
    assert sorted(tuple(b.shape) for b in result.module.buffers() if b.dim() == 1) == [(5,), (7,)]
    assert np.all([bool(torch.isfinite(y).all()) for y in result(torch.randn(1, 4, 8, 8))])
