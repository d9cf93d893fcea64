import pytest
import torch

from edgekit.compress.channels.branches import branches
from edgekit.compress.channels.groups import find_channels
from edgekit.compress.channels.removal import removed
from edgekit.compress.prune import Prune
from edgekit.graph import aten, is_call, op_name
from edgekit.recipe import Context
from edgekit.targets import load_target
from edgekit.testing.channels import masked
from edgekit.testing.graphs import graph_of

RANDOM = torch.Generator().manual_seed(0)
W = {name: torch.randn(*shape, generator=RANDOM) for name, shape in (
    ("a", (8, 4, 3, 3)), ("b", (4, 8, 3, 3)), ("c", (8, 4, 3, 3)), ("d", (4, 8, 3, 3)), ("bias", (4,)), ("shift", (1, 4, 1, 1)),
    ("up", (8, 4)), ("down", (4, 8)),
)}  # fmt: skip


def conv(x, w, b=None):
    return aten.convolution.default(x, w, b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)


def add(x, y):
    return aten.add.Tensor(x, y)


def found(function, *shape):
    graph = graph_of(function, [torch.zeros(*(shape or (1, 4, 6, 6)))], **W)
    channels = find_channels(graph)
    return graph, channels, branches(graph, channels, channels.removable)


def inside(x, k):
    return aten.relu.default(conv(x, k["a"]))


@pytest.mark.parametrize("bias", [None, "bias"])
def test_a_branch_leaves_its_bias_and_nothing_else(bias):
    graph, channels, ends = found(lambda x, **k: aten.relu.default(add(x, conv(inside(x, k), k["b"], k.get(bias)))))
    (group,) = ends
    smaller = removed(graph, channels, group.channels)
    x = torch.randn(1, 4, 6, 6, generator=RANDOM)
    torch.testing.assert_close(smaller(x)[0], masked(graph, channels, group.channels)(x)[0])
    assert [op_name(n) for n in smaller.nodes if is_call(n)] == (["relu"] if bias is None else ["add", "relu"])


def test_a_branch_of_linear_layers():
    graph, channels, ends = found(
        lambda x, **k: add(aten.linear.default(aten.gelu.default(aten.linear.default(x, k["up"])), k["down"], k["bias"]), x), 2, 5, 4
    )
    (group,) = ends
    x = torch.randn(2, 5, 4, generator=RANDOM)
    torch.testing.assert_close(removed(graph, channels, group.channels)(x)[0], x + W["bias"])


def sum_and_summand(x, y):
    return add(x, y), y


def gated(x, inner, k):
    return add(conv(inner, k["b"]), aten.mul.Tensor(x, conv(inner, k["d"])))


def doubled(y):
    return add(y, y)


NOT = {
    "whose end is an output, too": lambda x, **k: sum_and_summand(x, conv(inside(x, k), k["b"])),
    "that is an output itself": lambda x, **k: conv(inside(x, k), k["b"]),
    "something else reads": lambda x, **k: gated(x, inside(x, k), k),
    "that a constant is added to": lambda x, **k: conv(add(conv(inside(x, k), k["b"]), k["shift"]), k["c"]),
    "that is doubled": lambda x, **k: conv(doubled(conv(inside(x, k), k["b"])), k["c"]),
    "that reads more": lambda x, **k: add(x, conv(aten.cat.default([aten.slice.Tensor(inside(x, k), 1, 0, 4, 1), x], 1), k["d"])),
}


@pytest.mark.parametrize("name", NOT)
def test_what_is_no_branch(name):
    _, channels, ends = found(NOT[name])
    assert channels.groups
    assert not ends


def test_one_of_two_summands_stays():
    graph, channels, ends = found(lambda x, **k: add(conv(inside(x, k), k["b"]), conv(aten.relu.default(conv(x, k["c"])), k["d"])))
    assert len(channels.removable) == 2
    (group,) = ends
    assert [op_name(n) for n in removed(graph, channels, group.channels).nodes if is_call(n)] == ["convolution", "relu", "convolution"]


def test_constrained_weights_keep_their_branch():
    graph, *_ = found(lambda x, **k: add(x, conv(inside(x, k), k["b"])))
    pruned = Prune(0.5)(graph, Context(load_target("android").rules))
    channels = find_channels(pruned)
    assert channels.removable
    assert not branches(pruned, channels, channels.removable)
