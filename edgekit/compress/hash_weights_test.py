import numpy as np
import pytest
import torch

from edgekit.compress.hash_weights import HashWeights, hashed_positions
from edgekit.compress.prune import Prune
from edgekit.compress.training import FineTune
from edgekit.constraints import Buckets
from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.graph import aten, constant_value, constraints_of, reweigh_all
from edgekit.graphfile import load_graph, save_graph
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of

CONTEXT = Context(load_rules("litert"))


def network():
    random = torch.Generator().manual_seed(0)

    def function(x, a, b):
        return aten.linear.default(aten.relu.default(aten.linear.default(x, a, None)), b, None)

    a, b = torch.randn(32, 16, generator=random), torch.randn(4, 32, generator=random)
    return graph_of(function, [torch.randn(1, 16)], "net", a=a, b=b)


def weights(graph):
    return [n for n in graph.nodes if n.op == "get_attr" and constant_value(n).dim() == 2]


def test_elements_of_a_bucket_are_equal_but_for_their_signs_and_as_near_as_can_be():
    graph = network()
    result = HashWeights(0.125)(graph, CONTEXT)
    for node, before in zip(weights(result), map(constant_value, weights(graph)), strict=True):
        (constraint,) = constraints_of(node)
        value = constant_value(node)
        assert constraint.holds(value)
        assert len(value.abs().unique()) <= round(0.125 * value.numel())
        for bucket in constraint.bucket.unique():
            inside = constraint.bucket == bucket
            signed = (value * constraint.sign)[inside]
            assert len(signed.unique()) == 1
            torch.testing.assert_close(signed[0], (before * constraint.sign)[inside].mean())
    assert "640 weights share 80 values" in result.notes[0]


def test_positions_are_spread_evenly_the_same_each_time_and_by_key():
    where, signs = hashed_positions(torch.Size((400, 250)), 100, "0 layer1")
    counts = where.flatten().bincount(minlength=100)
    assert len(counts) == 100
    assert int(counts.min()) > 800 and int(counts.max()) < 1200  # 1000 expected, standard deviation 31
    assert abs(float(signs.mean())) < 0.02
    again, other = (hashed_positions(torch.Size((400, 250)), 100, key) for key in ("0 layer1", "0 layer2"))
    assert torch.equal(where, again[0]) and torch.equal(signs, again[1])
    assert float((where == other[0]).float().mean()) == pytest.approx(0.01, abs=0.005)


def test_training_keeps_the_buckets_and_gets_back_what_they_cost():
    graph = network()
    inputs = np.random.default_rng(0).normal(size=(256, 16)).astype(np.float32)
    context = Context(CONTEXT.rules, training=Samples({graph.inputs[0].name: inputs}), teacher=graph)
    hashed = HashWeights(0.25)(graph, CONTEXT)
    trained = FineTune(epochs=15, batch_size=32, learning_rate=0.02, device="cpu")(hashed, context)
    wanted, before, after = (torch.cat([g(x[None])[0] for x in torch.from_numpy(inputs)]) for g in (graph, hashed, trained))
    assert float((after - wanted).square().mean()) < 0.7 * float((before - wanted).square().mean())
    for node in weights(trained):
        (constraint,) = constraints_of(node)
        assert isinstance(constraint, Buckets) and constraint.holds(constant_value(node))


def test_buckets_follow_a_reordering_and_do_not_survive_a_scaling():
    graph = HashWeights(0.25)(network(), CONTEXT)
    node = weights(graph)[0]
    (constraint,), value = constraints_of(node), constant_value(node)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
    moved = constraint.after(lambda t: t[order].T, "new", value[order].T)
    assert moved.holds(value[order].T) and torch.equal(moved.bucket, constraint.bucket[order].T)
    assert constraint.after(lambda t: 2 * t, "new", 2 * value) is None
    readers = list(node.users)
    assert constraints_of(reweigh_all(node, lambda t: t[order], readers))[0].kind == "buckets"


def test_pruned_weights_and_excepted_modules_are_left_alone():
    pruned = Prune(0.5)(network(), CONTEXT)
    result = HashWeights()(pruned, CONTEXT)
    assert all(torch.equal(constant_value(a), constant_value(b)) for a, b in zip(weights(result), weights(pruned), strict=True))
    spared = HashWeights(overrides={"net": 1.0})(network(), CONTEXT)
    assert not spared.constraints


def test_buckets_are_written_with_a_graph_and_read_back(tmp_path):
    graph = HashWeights(0.25)(network(), CONTEXT)
    save_graph(graph, tmp_path / "graph")
    again = load_graph(tmp_path / "graph")
    assert [c.kind for c in again.constraints] == ["buckets", "buckets"]
    assert all(c.holds(constant_value(n)) for n in weights(again) for c in constraints_of(n))


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0])
def test_shares_that_are_none_are_refused(share):
    with pytest.raises(UsageError, match="share is"):
        HashWeights(share)
