import pytest
import torch

from edgekit.compress.equalize import Equalize
from edgekit.compress.prune import Prune
from edgekit.constraints import Mask
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import aten, constant_value, constraints_of
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of

CONTEXT = Context(load_rules("litert"))


def _network():
    random = torch.Generator().manual_seed(0)

    def function(x, a, b):
        y = aten.relu.default(aten.convolution.default(x, a, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1))
        return aten.convolution.default(y, b, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)

    a, b = torch.randn(16, 3, 3, 3, generator=random), 0.1 * torch.randn(8, 16, 3, 3, generator=random)
    return graph_of(function, [torch.randn(1, 3, 5, 5)], "net", a=a, b=b)


def _weights(graph):
    return [constant_value(n) for n in graph.nodes if n.op == "get_attr"]


def _share(weight):
    return float((weight == 0).float().mean())


def test_the_smallest_of_each_layer_go():
    graph = _network()
    result = Prune(0.25)(graph, CONTEXT)
    for weight, before in zip(_weights(result), _weights(graph), strict=True):
        assert _share(weight) == pytest.approx(0.25, abs=0.002)
        assert before[weight == 0].abs().max() <= before[weight != 0].abs().min()
        assert torch.equal(weight[weight != 0], before[weight != 0])
    assert all(isinstance(c, Mask) for c in result.constraints) and len(result.constraints) == 2
    assert not graph.constraints and "25" in result.notes[0]


def test_the_smallest_of_the_model_go():
    first, second = _weights(Prune(0.5, scope="global")(_network(), CONTEXT))
    assert _share(first) < 0.2 and _share(second) > 0.6


def test_n_of_m_along_the_input_channels():
    result = Prune(pattern="2:4")(_network(), CONTEXT)
    first, second = _weights(result)
    assert _share(first) == 0 and any("not 'net'" in note and "2:4" in note for note in result.notes), "3 channels are no multiple of 4"
    assert torch.equal((second.reshape(8, 4, 4, 9) != 0).sum(2), torch.full((8, 4, 9), 2))


def test_whole_blocks_go():
    first, second = _weights(Prune(0.5, pattern="4x1")(_network(), CONTEXT))
    for weight in (first, second):
        blocks = (weight != 0).reshape(weight.shape[0] // 4, 4, *weight.shape[1:])
        assert torch.equal(blocks.all(1), blocks.any(1)) and _share(weight) == pytest.approx(0.5, abs=0.01)


def test_what_was_pruned_stays_pruned():
    once = Prune(0.5)(_network(), CONTEXT)
    for again in (Prune(0.25), Prune(0.75), Prune(pattern="1:4", overrides={})):
        result = again(once, CONTEXT)
        for weight, before in zip(_weights(result), _weights(once), strict=True):
            assert bool((weight[before == 0] == 0).all())
        assert len(result.constraints) == 2


def test_overrides_by_module():
    assert not Prune(0.5, overrides={"net": 0.0})(_network(), CONTEXT).constraints
    assert _share(_weights(Prune(0.5, overrides={"n*": 0.75})(_network(), CONTEXT))[1]) == pytest.approx(0.75, abs=0.002)


def test_equalization_keeps_the_mask():
    pruned = Prune(0.5)(_network(), CONTEXT)
    samples = Samples({"x0": torch.randn(8, 3, 5, 5).numpy()})
    equalized = Equalize()(pruned, Context(CONTEXT.rules, samples))
    x = torch.randn(1, 3, 5, 5)
    torch.testing.assert_close(equalized(x)[0], pruned(x)[0], atol=1e-5, rtol=1e-4)
    changed = [n for n in equalized.nodes if n.op == "get_attr"]
    assert all(c.holds(constant_value(n)) for n in changed for c in constraints_of(n)) and len(equalized.constraints) == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "no sparsity"),
        ({"sparsity": 1.0}, "sparsity is 1"),
        ({"sparsity": -0.1}, "sparsity is -0.1"),
        ({"sparsity": 0.5, "scope": "all"}, "scope"),
        ({"sparsity": 0.5, "pattern": "dense"}, "pattern"),
        ({"pattern": "4:4"}, "keeps everything"),
        ({"sparsity": 0.5, "pattern": "2:4"}, "decides"),
        ({"sparsity": 0.5, "overrides": {"a": 2.0}}, "sparsity is 2"),
    ],
)
def test_bad_options_are_refused(options, told):
    with pytest.raises(UsageError, match=told):
        Prune(**options)


def test_a_threshold_in_standard_deviations_takes_what_is_below_it():
    graph = _network()
    for weight, before in zip(_weights(Prune(threshold=0.5)(graph, CONTEXT)), _weights(graph), strict=True):
        assert torch.equal(weight == 0, before.abs() < 0.5 * before.square().mean().sqrt())


def test_a_global_threshold_is_of_all_weights_together():
    graph = _network()
    spread = torch.cat([w.flatten() for w in _weights(graph)]).square().mean().sqrt()
    for weight, before in zip(_weights(Prune(threshold=0.5, scope="global")(graph, CONTEXT)), _weights(graph), strict=True):
        assert torch.equal(weight == 0, before.abs() < 0.5 * spread)


def test_the_effective_number_of_weights_stays():
    graph = _network()
    for weight, before in zip(_weights(Prune(effective=1.0)(graph, CONTEXT)), _weights(graph), strict=True):
        effective = float(before.abs().sum() ** 2 / before.square().sum())
        assert int((weight != 0).sum()) == pytest.approx(effective, abs=1)
        assert effective == pytest.approx(2 / torch.pi * before.numel(), rel=0.1), "of normal weights"


def test_a_weight_of_few_large_elements_keeps_those():
    def function(x, a):
        return aten.linear.default(x, a, None)

    weight = 0.001 * torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
    weight[:, 3] = 1.0
    (pruned,) = _weights(Prune(effective=1.0)(graph_of(function, [torch.randn(1, 100)], "net", a=weight), CONTEXT))
    assert bool((pruned[:, 3] == 1).all())
    assert _share(pruned) > 0.98


def test_pruning_again_by_effective_number_goes_on():
    once = Prune(effective=1.0)(_network(), CONTEXT)
    twice = Prune(effective=1.0)(once, CONTEXT)
    for first, second in zip(_weights(once), _weights(twice), strict=True):
        assert _share(second) > _share(first)
        assert bool((second[first == 0] == 0).all())


def test_gradients_tell_which_weights_matter():
    """Inputs of one channel are a hundred times those of the others: its small weights matter more than the others' large ones."""

    def function(x, a):
        return aten.linear.default(x, a, None)

    random = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 10, generator=random).sign() * (1 + torch.rand(6, 10, generator=random))
    weight[:, 4] = 0.2
    inputs = torch.randn(64, 10, generator=random)
    inputs[:, 4] *= 100
    graph = graph_of(function, [torch.zeros(1, 10)], "net", a=weight)
    context = Context(load_rules("litert"), Samples({graph.inputs[0].name: inputs.numpy()}))
    (by_size,) = _weights(Prune(0.1, refit=False)(graph, context))
    (by_gradient,) = _weights(Prune(0.1, importance="gradient", refit=False)(graph, context))
    assert bool((by_size[:, 4] == 0).all())
    assert bool((by_gradient[:, 4] != 0).all())
    assert _share(by_gradient) == pytest.approx(0.1)


def test_gradients_need_data():
    with pytest.raises(DataError, match="gradient"):
        Prune(0.5, importance="gradient")(_network(), CONTEXT)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"sparsity": 0.5, "threshold": 1.0}, "both decide"),
        ({"threshold": 0.0}, "threshold is 0"),
        ({"effective": -1.0}, "effective is -1"),
        ({"threshold": 1.0, "importance": "gradient"}, "of magnitudes"),
        ({"sparsity": 0.5, "importance": "luck"}, "importance is 'luck'"),
        ({"pattern": "2:4", "effective": 1.0}, "decides"),
        ({}, "no sparsity"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(options, why):
    with pytest.raises(UsageError, match=why):
        Prune(**options)
