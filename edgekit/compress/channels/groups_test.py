import torch

from edgekit.canonicalize import canonicalize
from edgekit.compress.channels import channel_groups, find_channels
from edgekit.graph import aten
from edgekit.loading import export
from edgekit.testing.graphs import graph_of
from edgekit.testing.reference import REFERENCE


class Attention(torch.nn.Module):
    """One block of a transformer, with PyTorch's own attention."""

    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(12, 3, batch_first=True)
        self.norm = torch.nn.LayerNorm(12)
        self.up, self.down = torch.nn.Linear(12, 20), torch.nn.Linear(20, 12)

    def forward(self, x):
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return x + self.down(torch.nn.functional.gelu(self.up(self.norm(x))))


def groups_of_module(module, *shape):
    return find_channels(canonicalize(export(module.eval(), (torch.zeros(*shape),)))).groups


def test_a_group_says_what_removing_a_channel_touches():
    model = REFERENCE["cifar_resnet20"]()
    first, second, *_ = channel_groups(canonicalize(export(model.model, model.example_inputs)))
    assert str(second).splitlines() == [
        "16 channels, removed together from",
        "  layer1.0.conv1  outputs   16 of 16",
        "  layer1.0.conv2  inputs    16 of 16",
    ]
    # The shortcuts pad channels: the first 16 of the second stage are those of the first.
    assert "  layer2.0.conv2  outputs   16 of 32" in str(first)
    assert "  linear          inputs    16 of 64" in str(first)


def test_heads_and_widths_of_transformers():
    groups = groups_of_module(Attention(), 1, 5, 12)
    heads, widths = (group for group in groups if not group.frozen)
    assert len(heads.channels) == 3
    assert {str(row.split()[-2]) for row in str(heads).splitlines()[1:]} >= {"4"}, "4 indices a head"
    assert len(widths.channels) == 20
    assert widths.writers == ("up",)


def test_what_stays_is_named_with_its_reason():
    def net(x0, w, v):
        return aten.softmax.int(aten.linear.default(x0, w), 1), aten.linear.default(x0, v)

    graph = graph_of(net, [torch.zeros(1, 3)], "head", w=torch.zeros(4, 3), v=torch.zeros(5, 3))
    assert [group.frozen for group in find_channels(graph).groups] == ["softmax runs over it (head)", "an output of the model"]
    recurrent = groups_of_module(torch.nn.Sequential(torch.nn.Linear(3, 6), Last(torch.nn.GRU(6, 4)), torch.nn.Linear(4, 2)), 7, 1, 3)
    reasons = {group.frozen for group in recurrent}
    assert None in reasons, "the features a recurrent layer reads can go"
    assert any(reason and "hidden size of a recurrent layer" in reason for reason in reasons)


class Last(torch.nn.Module):
    """A recurrent layer's outputs, without its states."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


def test_normalized_channels_are_marked():
    net = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.LayerNorm(6), torch.nn.Linear(6, 2))
    (group,) = (group for group in groups_of_module(net, 1, 3) if not group.frozen)
    assert not group.exact
    assert "a normalization averages over them" in str(group)


def test_an_operator_without_a_rule_keeps_what_it_meets():
    def net(x0, w, v):
        return aten.linear.default(aten.cumprod.default(aten.linear.default(x0, w), 1), v)

    graph = graph_of(net, [torch.zeros(1, 3)], w=torch.zeros(4, 3), v=torch.zeros(5, 4))
    assert find_channels(graph).groups[0].frozen == "channels are not followed through cumprod"


def test_the_only_channel_of_a_layer_stays():
    def net(x0, w, v):
        return aten.linear.default(aten.linear.default(x0, w), v)

    graph = graph_of(net, [torch.zeros(1, 3)], w=torch.zeros(1, 3), v=torch.zeros(5, 1))
    assert not channel_groups(graph)
