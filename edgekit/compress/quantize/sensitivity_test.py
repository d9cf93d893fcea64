import numpy as np
import pytest
import torch
from torch import nn

from edgekit.canonicalize import canonicalize
from edgekit.compress.quantize import Quantize
from edgekit.compress.quantize.histogram import GROUPS, Histogram
from edgekit.compress.quantize.ranges import mse_range
from edgekit.compress.quantize.sensitivity import Reactions, affordable
from edgekit.data import Samples
from edgekit.graph import grid_of
from edgekit.loading import export
from edgekit.recipe import Context
from edgekit.targets import load_rules


def graph_of(model, x):
    return canonicalize(export(model.eval(), (x,), batch=len(x)))


def reactions(model, x, name, count=None):
    graph = graph_of(model, x)
    return Reactions(graph, frozenset({name(graph)})).of([x], 0, len(x) if count is None else count)[name(graph)]


def placeholder(graph):
    return next(n.name for n in graph.nodes if n.op == "placeholder")


def test_one_linear_output_reacts_by_its_squared_weights():
    model = nn.Linear(5, 1)
    _, weights = reactions(model, torch.randn(1, 5), placeholder)
    torch.testing.assert_close(weights, model.weight.detach().square())


def test_several_outputs_add_up_on_average():
    model = nn.Linear(4, 64)
    _, weights = reactions(model, torch.randn(512, 4), placeholder)
    exact = model.weight.detach().square().sum(0)
    torch.testing.assert_close(weights.mean(0), exact, rtol=0.2, atol=0)


def test_of_probabilities_the_scores_before_them_react():
    scores, x = nn.Linear(4, 3), torch.randn(8, 4)
    before = reactions(scores, x, placeholder)[1]
    after = reactions(nn.Sequential(scores, nn.Softmax(-1)), x, placeholder)[1]
    torch.testing.assert_close(after, before)


def test_a_sample_s_combination_does_not_depend_on_its_batch():
    model, x = nn.Linear(4, 9), torch.randn(6, 4)
    graph = graph_of(model, x)
    together = Reactions(graph, frozenset({placeholder(graph)})).of([x], 10, 6)[placeholder(graph)][1]
    alone = graph_of(model, x[:1])
    for i in range(6):
        one = Reactions(alone, frozenset({placeholder(alone)})).of([x[i : i + 1]], 10 + i, 1)[placeholder(alone)][1]
        torch.testing.assert_close(one[0], together[i])


def test_what_no_output_depends_on_weighs_nothing_and_counts_evenly():
    class Index(nn.Module):
        def forward(self, x):
            return x.argmax(-1)

    _, weights = reactions(Index(), torch.randn(2, 5), placeholder)
    assert not weights.any()
    histogram = Histogram()
    histogram.add(torch.randn(99))
    histogram.weigh(torch.randn(99).clamp(-1, 1), torch.zeros(99))
    assert torch.equal(histogram.weighted(0.05), histogram.counts)


def test_values_that_matter_are_not_clipped_for_those_that_do_not():
    values = torch.cat([torch.linspace(-1, 1, 9000), torch.linspace(20, 30, 1000)])
    histogram = Histogram()
    histogram.add(values)
    histogram.weigh(values, (values < 2).float())
    assert mse_range(histogram, 255, symmetric=False, weighed=True)[1] < mse_range(histogram, 255, symmetric=False)[1]


def test_weighing_a_part_weighs_all_of_that_size():
    values = torch.rand(50_000, generator=torch.Generator().manual_seed(0)) + 0.5
    histogram = Histogram()
    histogram.add(values)
    histogram.weigh(values[:5000], values[:5000])
    weighted = histogram.weighted(0.0)
    filled = histogram.counts > 0
    share = weighted[filled] / histogram.counts[filled]
    torch.testing.assert_close(share, histogram.centers[filled].double(), atol=2 / GROUPS, rtol=0)  # weight = value, mean 1


def test_the_work_is_bounded():
    graph = graph_of(nn.Conv2d(3, 64, 3, padding=1), torch.randn(1, 3, 128, 128))
    data = Samples({"x": np.zeros((64, 3, 128, 128), np.float32)})
    some, at_once = affordable(graph, data)
    assert len(some) == 16 and at_once == 8


@pytest.mark.parametrize("model", [nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4), nn.Softmax(-1))])
def test_grids_do_not_depend_on_the_batch_size(model):
    x = torch.randn(40, 3, 8, 8)
    graph, context = graph_of(model, x[:1]), Context(load_rules("litert"), None)
    context = Context(context.rules, Samples({graph.inputs[0].name: x.numpy()}))
    grids = [[grid_of(n) for n in Quantize(calibration="sensitivity", batch_size=size)(graph, context).nodes] for size in (1, 7, 40)]
    for alike in zip(*grids, strict=True):
        found = [g for g in alike if g is not None]
        for one in found:
            assert one.scale == pytest.approx(found[0].scale, rel=1e-5) and one.zero_point == found[0].zero_point
