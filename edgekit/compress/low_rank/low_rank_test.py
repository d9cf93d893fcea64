"""Low rank: exact at full rank, exact on low-rank weights, within budgets, and best where data say so."""

import numpy as np
import pytest
import torch

from edgekit.compress.costs import cost_of, layer_costs
from edgekit.compress.low_rank import LowRank
from edgekit.compress.low_rank.kinds import KINDS, kinds_of
from edgekit.compress.low_rank.options import measured
from edgekit.compress.low_rank.replacing import with_factors
from edgekit.compress.prune import Prune
from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.graph import Graph, argument, aten, is_call, module_path, op_name
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of

RULES = load_rules("litert")
LAYERS = {
    "linear": ((2, 7, 20), (12, 20), None),
    "pointwise": ((1, 6, 5, 5), (10, 6, 1, 1), ([2, 1], [0, 0], [1, 1])),
    "3x3": ((1, 6, 9, 8), (10, 6, 3, 3), ([1, 1], [1, 1], [1, 1])),
    "strided": ((2, 6, 11, 9), (10, 6, 3, 5), ([2, 1], [1, 2], [1, 1])),
    "dilated": ((1, 6, 12, 12), (10, 6, 3, 3), ([1, 2], [2, 3], [2, 1])),
    "one dimension": ((1, 6, 15), (10, 6, 5), ([2], [2], [1])),
    "row": ((1, 6, 5, 15), (10, 6, 1, 5), ([1, 2], [0, 2], [1, 1])),
}
CASES = [(name, kind) for name, (_, shape, _) in LAYERS.items() for kind in kinds_of(torch.zeros(shape))]


def layer(name: str, weight: torch.Tensor | None = None) -> Graph:
    shape, size, options = LAYERS[name]
    w = torch.randn(size, generator=torch.Generator().manual_seed(1)) if weight is None else weight
    b = torch.randn(size[0], generator=torch.Generator().manual_seed(2))
    if options is None:
        return graph_of(aten.linear.default, [torch.zeros(shape)], "head", weight=w, bias=b)
    rest = [False, [0] * len(options[0]), 1]
    return graph_of(lambda x, w, b: aten.convolution.default(x, w, b, *options, *rest), [torch.zeros(shape)], "conv", w=w, b=b)


def split_at(graph: Graph, kind: str, rank: int) -> Graph:
    node = next(n for n in graph.nodes if is_call(n))
    weight = graph.module.get_buffer(str(argument(node, "weight").target))
    stages, product = KINDS[kind](weight, None)(rank).closed(weight.flatten(1), None)
    assert product.shape == weight.flatten(1).shape
    return with_factors(graph, {node.name: (kind, stages)}, {})


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_all_ranks_give_back_the_layer(name, kind):
    graph, x = layer(name), torch.randn(LAYERS[name][0])
    rank = {"svd": LAYERS[name][1][0], "tucker": LAYERS[name][1][0], "spatial": 18}[kind]
    full = split_at(graph, kind, rank)
    torch.testing.assert_close(full(x)[0], graph(x)[0], rtol=1e-4, atol=1e-4)
    calls = [n for n in full.nodes if is_call(n)]
    assert len(calls) == (3 if kind == "tucker" else 2)
    assert {module_path(n) for n in calls} == {module_path(next(n for n in graph.nodes if is_call(n)))}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_weight_of_low_rank_loses_nothing_and_costs_are_counted_rightly(name, kind):
    size = LAYERS[name][1]
    random = torch.Generator().manual_seed(3)
    if kind == "spatial":
        weight = torch.einsum(
            "rih,orw->oihw", torch.randn(2, *size[1:3], generator=random), torch.randn(size[0], 2, size[3], generator=random)
        )
    elif kind == "tucker":
        core, down = torch.randn(5, 3, *size[2:], generator=random), torch.randn(3, size[1], generator=random)
        weight = torch.einsum("or,rc...,ci->oi...", torch.randn(size[0], 5, generator=random), core, down)
    else:
        weight = (torch.randn(size[0], 3, generator=random) @ torch.randn(3, int(np.prod(size[1:])), generator=random)).reshape(size)
    graph, x = layer(name, weight), torch.randn(LAYERS[name][0])
    options = {o.rank: o for o in measured(graph, [n for n in graph.nodes if is_call(n)], (kind,), 1, None).popitem()[1]}
    rank = {"spatial": 2, "tucker": 5, "svd": 3}[kind]
    few = split_at(graph, kind, rank)
    torch.testing.assert_close(few(x)[0], graph(x)[0], rtol=1e-3, atol=1e-3)
    cost = cost_of(few)
    biases = size[0]
    if rank in options:
        assert options[rank].lost < 1e-6
        assert (options[rank].macs, options[rank].parameters + biases) == (cost.macs, cost.parameters)
    else:
        whole = cost_of(graph)
        assert cost.macs >= whole.macs or cost.parameters >= whole.parameters


def network(seed: int = 0) -> Graph:
    """Two convolutions and two linear layers whose data lie near a few directions."""
    random = torch.Generator().manual_seed(seed)

    def function(x, *, a, b, c, d, e):
        def conv(value, weight):
            return aten.convolution.default(value, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)

        y = aten.relu.default(conv(aten.relu.default(conv(x, a)), b))
        return aten.linear.default(aten.relu.default(aten.linear.default(aten.mean.dim(y, [2, 3]), c, e)), d)

    shapes = {"a": (16, 8, 3, 3), "b": (16, 16, 3, 3), "c": (32, 16), "d": (10, 32), "e": (32,)}
    constants = {k: torch.randn(s, generator=random) / np.sqrt(np.prod(s[1:])) for k, s in shapes.items()}
    return graph_of(function, [torch.zeros(1, 8, 8, 8)], "net", **constants)


def images(count: int, seed: int) -> np.ndarray:
    """Images of 8 channels in a space of 3, and a little noise."""
    random = torch.Generator().manual_seed(seed)
    basis = torch.randn(8, 3, generator=torch.Generator().manual_seed(9))
    x = torch.einsum("cd,ndhw->nchw", basis, torch.randn(count, 3, 8, 8, generator=random))
    return (x + 0.01 * torch.randn(x.shape, generator=random)).numpy()


CONTEXT = Context(RULES, Samples({"x0": images(48, 1)}))
UNSEEN = [torch.from_numpy(x[None]) for x in images(24, 2)]


def loss(graph: Graph, other: Graph) -> float:
    return sum(float((graph(x)[0] - other(x)[0]).square().mean()) for x in UNSEEN)


@pytest.mark.parametrize("budget", [{"macs": 0.5}, {"parameters": 0.6}, {"macs": 200_000}])
@pytest.mark.parametrize("context", [CONTEXT, Context(RULES)], ids=["data", "no data"])
def test_a_budget_is_kept(budget, context):
    graph = network()
    found = LowRank(**budget)(graph, context)
    ((name, share),) = budget.items()
    most = share if share > 1 else share * getattr(cost_of(graph), name)
    assert 0.7 * most < getattr(cost_of(found), name) <= most
    assert any(note.startswith("low rank: ") for note in found.notes)


def test_data_tell_which_ranks_matter():
    graph = network()
    with_data, without = LowRank(macs=0.4)(graph, CONTEXT), LowRank(macs=0.4)(graph, Context(RULES))
    assert loss(graph, with_data) < 0.5 * loss(graph, without)


def test_energy_decides_layer_by_layer():
    graph = network()
    exact, rough = LowRank(energy=0.999)(graph, CONTEXT), LowRank(energy=0.8)(graph, CONTEXT)
    assert cost_of(rough).macs < cost_of(exact).macs < cost_of(graph).macs
    assert loss(graph, exact) < 0.2 * loss(graph, rough)


def test_a_layer_stays_where_factors_would_be_larger_or_slower():
    graph = network()
    found = LowRank(energy=0.999999999, kinds=("tucker",))(graph, Context(RULES))
    assert cost_of(found) == cost_of(graph) and "low rank: 0 of 4 layers" in found.notes[-1]


def test_kept_and_constrained_layers_stay():
    graph = network()
    assert cost_of(LowRank(energy=0.5, keep=("net",))(graph, CONTEXT)) == cost_of(graph)
    sparse = Prune(0.5)(graph, CONTEXT)
    assert LowRank(energy=0.5)(sparse, CONTEXT).constraints == sparse.constraints


def test_ranks_are_multiples_of_the_alignment():
    found = LowRank(energy=0.8, alignment=4)(network(), CONTEXT)
    layers = {c.node for c in layer_costs(found)}
    outputs = [n.meta["val"].shape[1] for n in found.nodes if n.name in layers and op_name(n) in ("convolution", "linear")]
    assert all(size % 4 == 0 or size == 10 for size in outputs)


def test_the_graph_given_is_not_touched():
    graph = network()
    before = graph(UNSEEN[0])[0]
    LowRank(macs=0.5)(graph, CONTEXT)
    assert torch.equal(graph(UNSEEN[0])[0], before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no budget"),
        ({"energy": 0.9, "macs": 0.5}, "energy and macs"),
        ({"energy": 1.0}, "energy is 1"),
        ({"macs": 0.0}, "macs is 0"),
        ({"parameters": 1}, "parameters is 1"),
        ({"macs": 0.5, "kinds": ("cp",)}, "kinds of low_rank"),
        ({"macs": 0.5, "alignment": 0}, "alignment is 0"),
        ({"macs": 0.5, "ridge": 0.0}, "ridge is 0"),
        ({"macs": 0.5, "overrides": {"a": 2.0}}, "energy is 2"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(UsageError, match=message):
        LowRank(**options)


def test_what_cannot_be_met_is_said_with_what_can():
    with pytest.raises(UsageError, match="cannot leave") as error:
        LowRank(macs=0.001)(network(), CONTEXT)
    assert "or more" in str(error.value)
    with pytest.raises(UsageError, match="no module 'nte'"):
        LowRank(macs=0.5, keep=("nte",))(network(), CONTEXT)
