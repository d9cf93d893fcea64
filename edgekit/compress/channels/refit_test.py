import numpy as np
import torch

from edgekit.compress.channels import find_channels
from edgekit.compress.channels.refit import refitted
from edgekit.compress.channels.removal import removed
from edgekit.compress.costs import cost_of
from edgekit.compress.prune import Prune
from edgekit.data import Samples
from edgekit.graph import aten, constraints_of
from edgekit.recipe import Context
from edgekit.targets import load_target
from edgekit.testing.graphs import graph_of

RANDOM = torch.Generator().manual_seed(0)
SEEN, NEW = (torch.randn(40, 3, 8, 8, generator=RANDOM) for _ in range(2))
SAMPLES = Samples({"x0": SEEN.numpy()})


def conv(x, w, b, groups=1):
    return aten.convolution.default(x, w, b, [1, 1], [1, 1], [1, 1], False, [0, 0], groups)


def net(x0, **k):
    a = aten.relu.default(conv(x0, k["w1"], k["b1"]))
    b = aten.relu.default(conv(a, k["depth"], k["b2"], 12))
    c = aten.add.Tensor(conv(b, k["w3"], k["b3"]), a)
    return aten.linear.default(aten.reshape.default(aten.mean.dim(c, [2, 3], True), [1, 12]), k["w4"], k["b4"])


def network():
    shapes = {
        "w1": (12, 3, 3, 3),
        "b1": (12,),
        "depth": (12, 1, 3, 3),
        "b2": (12,),
        "w3": (12, 12, 3, 3),
        "b3": (12,),
        "w4": (5, 12),
        "b4": (5,),
    }
    return graph_of(net, [SEEN[:1]], **{name: torch.randn(*shape, generator=RANDOM) for name, shape in shapes.items()})


def error(graph, other):
    return float(np.mean([float((graph(x)[0] - other(x)[0]).square().sum()) for x in NEW.split(1)]))


def test_what_is_left_gives_what_all_gave_as_far_as_it_can():
    graph = network()
    channels = find_channels(graph)
    gone = {group.channels[i] for group in channels.removable for i in (0, 5, 7)}
    plain, fitted = removed(graph, channels, gone), refitted(graph, channels, gone, SAMPLES)
    assert cost_of(plain) == cost_of(fitted)
    assert error(graph, fitted) < 0.3 * error(graph, plain), "on samples it has not seen"


def test_a_channel_that_another_equals_is_hardly_missed():
    graph = network()
    with torch.no_grad():
        for name in ("w1", "b1"):
            getattr(graph.module, name)[3] = getattr(graph.module, name)[8]
        for name in ("depth", "b2", "w3", "b3"):
            getattr(graph.module, name)[3] = getattr(graph.module, name)[8]
    channels = find_channels(graph)
    gone = {group.channels[3] for group in channels.removable}
    # The ridge towards the old weights keeps the other from doing the work of both entirely.
    assert error(graph, refitted(graph, channels, gone, SAMPLES)) < 0.02 * error(graph, removed(graph, channels, gone))


def test_constrained_weights_keep_their_values_and_constraints():
    graph = Prune(sparsity=0.5)(network(), Context(load_target("android").rules))
    channels = find_channels(graph)
    gone = {group.channels[0] for group in channels.removable}
    fitted = refitted(graph, channels, gone, SAMPLES)
    masks = [(node, mask) for node in fitted.nodes for mask in constraints_of(node)]
    assert len(masks) == len(graph.constraints) > 0
    assert all(mask.holds(getattr(fitted.module, node.target)) for node, mask in masks)
