"""Learned rounding: what it keeps, what it improves, and that the grids are those that were there."""

import numpy as np
import pytest
import torch
from torch import fx

from edgekit.compress.adaround import AdaRound
from edgekit.compress.prune import Prune
from edgekit.compress.quantize import Quantize
from edgekit.compress.roundings import unrounded, without_roundings
from edgekit.constraints import Mask
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph, argument, constant_value, constraints_of, grid_of, is_call, op_name
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.layers import network

RULES = load_rules("litert")
METHODS = [AdaRound(), AdaRound(method="gradient", iterations=200)]


def correlated(count: int, seed: int) -> np.ndarray:
    """Images whose neighbouring pixels are alike, so that roundings of one layer can make up for each other."""
    noise = torch.randn(count, 3, 10, 10, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.avg_pool2d(noise, 3, 1) * 3 + 0.3).numpy()


CONTEXT = Context(RULES, Samples({"x0": correlated(64, 1)}))
UNSEEN = [torch.from_numpy(x[None]) for x in correlated(32, 2)]


def loss(float_graph: Graph, graph: Graph) -> float:
    return sum(float((graph(x)[0] - float_graph(x)[0]).square().mean()) for x in UNSEEN)


def layers(graph: Graph) -> list[fx.Node]:
    return [n for n in graph.nodes if is_call(n) and op_name(n) in ("convolution", "linear")]


def integers(layer: fx.Node) -> torch.Tensor:
    """The weight in steps of its grid, before it is rounded."""
    rounding = argument(layer, "weight")
    weight = constant_value(unrounded(rounding))
    return weight / torch.tensor(grid_of(rounding).scale).reshape(-1, *[1] * (weight.dim() - 1))


@pytest.mark.parametrize(("scheme", "step"), [("w4a8", METHODS[0]), ("w4", METHODS[0]), ("w4ad8", METHODS[0]), ("w4a8", METHODS[1])])
def test_outputs_come_closer_to_the_float_model_on_unseen_data(scheme, step):
    graph = network()
    plain = Quantize(scheme)(graph, CONTEXT)
    better = step(plain, CONTEXT)
    assert loss(graph, better) < 0.5 * loss(graph, plain)


@pytest.mark.parametrize("step", METHODS, ids=["coordinates", "gradient"])
def test_grids_stay_and_float_weights_move_onto_them(step):
    plain = Quantize("w4a8")(network(), CONTEXT)
    better = step(plain, CONTEXT)
    grids = [grid_of(n) for n in plain.nodes if grid_of(n) is not None]
    assert [grid_of(n) for n in better.nodes if grid_of(n) is not None] == grids
    moved = 0
    for old, new in zip(layers(plain), layers(better), strict=True):
        before, after = integers(old), integers(new)
        assert bool(((after - after.round()).abs() < 1e-4).all()) and float(after.abs().max()) < 7 + 1e-4
        moved += int((after.round() != before.round().clamp(-7, 7)).sum())
    assert moved > 20


def test_gradients_move_a_weight_up_or_down_and_no_further():
    plain = Quantize("w4a8")(network(), CONTEXT)
    better = METHODS[1](plain, CONTEXT)
    for old, new in zip(layers(plain), layers(better), strict=True):
        assert bool(((integers(new) - integers(old).clamp(-7, 7)).abs() < 1 + 1e-4).all())


def test_pruned_weights_stay_zero():
    sparse = Prune(0.5)(network(), CONTEXT)
    better = AdaRound()(Quantize("w4a8")(sparse, CONTEXT), CONTEXT)
    weights = [n for n in better.nodes if any(isinstance(c, Mask) for c in constraints_of(n))]
    assert len(weights) == 4
    for weight in weights:
        (mask,) = constraints_of(weight)
        assert mask.holds(constant_value(weight)) and mask.sparsity == pytest.approx(0.5, abs=0.05)


def test_only_the_modules_asked_for_are_rounded_anew():
    plain = Quantize("w4a8")(network(), CONTEXT)
    with pytest.raises(UsageError, match="no module 'nett'"):
        AdaRound(modules=("nett",))(plain, CONTEXT)
    assert loss(network(), AdaRound(modules=("net",))(plain, CONTEXT)) == loss(network(), AdaRound()(plain, CONTEXT))


def test_the_same_seed_gives_the_same_weights_and_the_input_is_not_touched():
    plain = Quantize("w4a8")(network(), CONTEXT)
    before = {n.target: constant_value(n).clone() for n in plain.nodes if n.op == "get_attr"}
    first, second = (METHODS[1](plain, CONTEXT) for _ in range(2))
    for a, b in zip(first.nodes, second.nodes, strict=True):
        assert a.op != "get_attr" or torch.equal(constant_value(a), constant_value(b))
    assert all(torch.equal(constant_value(n), before[n.target]) for n in plain.nodes if n.op == "get_attr")


def test_nothing_to_round_is_left_alone_and_missing_data_are_asked_for():
    graph = network()
    assert AdaRound()(graph, CONTEXT) is graph
    with pytest.raises(DataError, match="measures layers on data"):
        AdaRound()(Quantize("w8")(graph, CONTEXT), Context(RULES))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"method": "hessian"}, "method of adaround"), ({"iterations": 0}, "iterations is 0"), ({"ridge": 0.0}, "ridge is 0")],
)
def test_bad_options(options, message):
    with pytest.raises(UsageError, match=message):
        AdaRound(**options)


def test_the_graph_without_roundings_is_the_float_graph():
    graph = network()
    plain = without_roundings(Quantize("w8a8")(graph, CONTEXT))
    torch.testing.assert_close(plain(UNSEEN[0])[0], graph(UNSEEN[0])[0])
