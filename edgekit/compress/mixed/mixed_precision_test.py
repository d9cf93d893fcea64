"""Mixed precision: raises what hurts, no more, and keeps to its budget on samples it did not calibrate on."""

import numpy as np
import pytest
import torch

from edgekit.compress.mixed import MixedPrecision
from edgekit.compress.mixed.losses import rounding_losses
from edgekit.compress.mixed.rungs import Rounding, edge_modules, ladder, roundings
from edgekit.compress.quantize import Quantize
from edgekit.compress.roundings import is_rounding
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph, aten, call, constant, finish, grid_of, is_call, op_name
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of

RULES = load_rules("litert")
WEIGHTS = {k: torch.randn(s, generator=torch.Generator().manual_seed(i)) / 4 for i, (k, s) in enumerate(
    {"a": (16, 12), "b": (16, 16), "c": (16, 16), "d": (6, 16)}.items())}  # fmt: skip


def network(outlier: float = 60.0) -> Graph:
    """Four layers; one activation between the second and the third has an outlier channel that hides the others on an 8-bit grid."""
    spread = torch.ones(16)
    spread[3] = outlier

    def function(x, *, a, b, c, d, s):
        y = aten.relu.default(aten.linear.default(x, a))
        y = aten.mul.Tensor(aten.linear.default(y, b), s)
        return aten.linear.default(aten.relu.default(aten.linear.default(y, c)), d)

    constants = {**WEIGHTS, "c": WEIGHTS["c"] / spread, "s": spread}
    graph = graph_of(function, [torch.zeros(1, 12)], **constants)
    paths = iter(["first", "first.act", "second", "second.scale", "third", "third.act", "head"])
    for node in graph.nodes:
        if is_call(node):
            node.meta["module_path"] = next(paths)
    return graph


def samples(count: int, seed: int) -> Samples:
    x = np.random.default_rng(seed).normal(size=(count, 12)).astype(np.float32)
    with torch.no_grad():
        labels = network()(torch.from_numpy(x))[0].argmax(1).numpy()
    return Samples({"x0": x}, labels)


CONTEXT = Context(RULES, samples(120, 1))


def raised(graph: Graph) -> str:
    (note,) = [n for n in graph.notes if n.startswith("mixed precision: ")]
    return note


def grids(graph: Graph) -> set[str]:
    return {grid_of(n).dtype for n in graph.nodes if grid_of(n) is not None}


def test_the_layers_around_an_outlier_are_raised_and_others_are_not():
    plain = Quantize("w8a8")(network(), CONTEXT)
    found = MixedPrecision(min_sqnr=24.0)(network(), CONTEXT)
    exact = torch.from_numpy(samples(100, 2).inputs["x0"])

    def sqnr(graph):
        rows = torch.cat([graph(row)[0] for row in exact.split(1)])
        wanted = network()(exact)[0]
        return float(10 * torch.log10(wanted.square().sum() / (rows - wanted).square().sum()))

    assert sqnr(plain) < 20 and sqnr(found) > 23
    assert grids(found) == {"int8", "int16"}
    assert "w8a16: 'second.scale', 'third'" in raised(found) and "'first'" not in raised(found) and "'head'" not in raised(found)


def test_nothing_is_raised_where_int8_serves():
    found = MixedPrecision(min_sqnr=10.0)(network(1.0), CONTEXT)
    assert "no module had to be raised" in raised(found) and grids(found) == {"int8"}


@pytest.mark.parametrize("budget", [{"max_drop": 0.05}, {"min_agreement": 0.95}])
def test_budgets_of_answers(budget):
    found = MixedPrecision(**budget, fallbacks=("float32",))(network(), CONTEXT)
    assert "on 40 samples" in raised(found) and "int16" not in grids(found)
    unlabelled = Context(RULES, Samples(CONTEXT.calibration.inputs))
    if "max_drop" in budget:
        with pytest.raises(DataError, match="no labels"):
            MixedPrecision(**budget)(network(), unlabelled)
    else:
        assert raised(MixedPrecision(**budget, fallbacks=("float32",))(network(), unlabelled)) == raised(found)


def test_validation_data_are_what_is_measured_on():
    found = MixedPrecision(min_agreement=0.9)(network(), Context(RULES, CONTEXT.calibration, validation=samples(33, 5)))
    assert "on 33 samples" in raised(found)


def test_what_the_user_gave_is_not_searched_for():
    found = MixedPrecision(min_sqnr=5.0, overrides={"third": "w8a8", "head": "float32"})(network(), CONTEXT)
    assert "'third'" not in raised(found) and "'head'" not in raised(found)
    head = next(n for n in found.nodes if is_call(n) and n.meta["module_path"] == "head" and op_name(n) == "linear")
    assert grid_of(head.args[1]) is None


def test_a_budget_that_cannot_be_met_says_what_can():
    with pytest.raises(UsageError, match="output SQNR in dB") as error:
        MixedPrecision(min_sqnr=80.0, fallbacks=("w8a16",))(network(), CONTEXT)
    assert "fallbacks with float32" in str(error.value) and "more samples" not in str(error.value)


def test_a_budget_finer_than_the_samples_tell_asks_for_more(monkeypatch):
    monkeypatch.setattr("edgekit.compress.mixed.mixed_precision.agreement", lambda *_: 0.95)
    with pytest.raises(UsageError, match="reaches agreement with the float model") as error:
        MixedPrecision(min_agreement=0.999)(network(), CONTEXT)
    assert "more samples" in str(error.value) and "fallbacks with float32" not in str(error.value)


def test_losses_are_those_of_one_rounding_alone():
    graph = Quantize("w8a8")(network(), CONTEXT)
    losses = rounding_losses(graph, CONTEXT.calibration)
    names = [n.name for n in graph.nodes if is_rounding(n)]
    assert set(losses) == set(names)
    x = torch.from_numpy(CONTEXT.calibration.inputs["x0"])
    wanted = network()(x)[0]
    for name in names:
        alone = graph.copy()
        for node in alone.nodes:
            if is_rounding(node) and node.name != name:
                node.replace_all_uses_with(node.args[0])
        finish(alone.module)
        assert losses[name] == pytest.approx(float((alone(x)[0] - wanted).double().square().sum()), rel=1e-3, abs=1e-9)
    graph = network()
    head = graph.nodes[-1]
    loose = constant(head, torch.ones(1), "loose")
    call(head, aten.neg.default, loose)
    assert rounding_losses(graph, CONTEXT.calibration) == {}


def test_modules_at_the_edges_keep_their_width_unless_the_user_raises_them():
    graph = Quantize("w8a8")(network(), CONTEXT)
    assert edge_modules(graph) == {"first", "head"}
    with pytest.raises(UsageError):
        MixedPrecision(min_sqnr=60.0)(network(), CONTEXT)
    found = MixedPrecision(min_sqnr=60.0, overrides={"first": "float32", "head": "float32"}, fallbacks=("float32",))(network(), CONTEXT)
    assert "'second'" in raised(found) and not grids(found)


def test_each_rung_raises_more():
    graph = Quantize("w8a8")(network(), CONTEXT)
    rungs = ladder(graph, roundings(graph, rounding_losses(graph, CONTEXT.calibration), ()), ("w8a16", "float32"))
    assert rungs[0] == {} and len(rungs) > 3
    costs = [sum({"w8a16": 1, "float32": 2}[s] for s in rung.values()) for rung in rungs]
    assert costs == sorted(set(costs))
    assert set(rungs[-1].values()) == {"float32"} and "first" in rungs[-1]


def test_a_rounding_goes_only_where_all_its_kernels_are_raised():
    from edgekit.schemes import parse_scheme

    wide, exact = parse_scheme("w8a16"), parse_scheme("float32")
    between = Rounding(1.0, frozenset(("a", "b")), weight=False)
    assert not between.gone({"a": wide}) and between.gone({"a": wide, "b": exact})
    weight = Rounding(1.0, frozenset(("a",)), weight=True)
    assert not weight.gone({"a": wide}) and weight.gone({"a": exact})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no budget"),
        ({"max_drop": 0.1, "min_sqnr": 3.0}, "max_drop and min_sqnr"),
        ({"max_drop": 1.0}, "max_drop is 1"),
        ({"min_agreement": 0.0}, "min_agreement is 0"),
        ({"max_drop": 0.1, "scheme": "w8a16"}, "scheme of mixed_precision"),
        ({"max_drop": 0.1, "fallbacks": ("fp16",)}, "fallbacks are"),
        ({"max_drop": 0.1, "fallbacks": ()}, "fallbacks are"),
        ({"max_drop": 0.1, "calibration": "mean"}, "unknown calibration"),
        ({"max_drop": 0.1, "overrides": {"a": "w9"}}, "unknown quantization scheme"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(UsageError, match=message):
        MixedPrecision(**options)
    with pytest.raises(DataError, match="measures the model on data"):
        MixedPrecision(max_drop=0.1)(network(), Context(RULES))
