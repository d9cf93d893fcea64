import pytest
import torch

from edgekit.compress.equalize import Equalize
from edgekit.compress.prune import Prune
from edgekit.constraints import Mask
from edgekit.data import Samples
from edgekit.errors import UsageError
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
