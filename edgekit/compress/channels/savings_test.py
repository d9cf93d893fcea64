import pytest

from edgekit.canonicalize import canonicalize
from edgekit.compress.channels.branches import branches
from edgekit.compress.channels.groups import find_channels
from edgekit.compress.channels.removal import removed
from edgekit.compress.channels.savings import Savings
from edgekit.compress.costs import work_of
from edgekit.graph import is_call
from edgekit.loading import export
from edgekit.targets.kernels import Kernels
from edgekit.testing.reference import REFERENCE

KERNELS = Kernels(tile=16, output=40, depthwise=6, element=32)


def work(graph):
    return sum(work_of(node, KERNELS) for node in graph.nodes if is_call(node))


@pytest.mark.parametrize("name", ["cifar_resnet20", "vww_mobilenet_v1_025_96", "vit", "keras_two_headed"])
def test_what_is_spared_is_what_a_graph_without_them_takes_less(name):
    model = REFERENCE[name]()
    graph = canonicalize(export(model.model, model.example_inputs if model.framework == "pytorch" else None))
    channels = find_channels(graph)
    saved, before = Savings(graph, channels, KERNELS), work(graph)
    groups = channels.removable
    assert groups
    for group in groups[:: max(1, len(groups) // 6)]:
        for gone in {0, 1, len(group.channels) // 2, len(group.channels) * 3 // 4}:
            left = work(removed(graph, channels, group.channels[:gone]))
            assert saved(group, gone) == pytest.approx(before - left, abs=1e-6 * before)


def test_a_branch_spares_all_that_is_in_it():
    model = REFERENCE["cifar_resnet20"]()
    graph = canonicalize(export(model.model, model.example_inputs))
    channels = find_channels(graph)
    saved, before = Savings(graph, channels, KERNELS), work(graph)
    ends = branches(graph, channels, channels.removable)
    assert len(ends) == 9
    for group in list(ends)[::3]:
        left = work(removed(graph, channels, group.channels))
        assert saved(group, len(group.channels)) == pytest.approx(before - left, rel=1e-9)
