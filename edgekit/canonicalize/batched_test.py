"""Batch-1 graphs run on any batch, or say that they cannot."""

import pytest
import torch
from torch import nn

from edgekit.canonicalize import canonicalize
from edgekit.canonicalize.batched import batched
from edgekit.canonicalize.spelling_test import Fn
from edgekit.loading import export


def graph(model, *inputs):
    return canonicalize(export(model.eval(), inputs))


def agree(model, *inputs):
    """Whether three samples at once give what they give one by one."""
    one = graph(model, *inputs)
    many = batched(one)
    assert many is not None
    samples = [torch.randn(3, *x.shape[1:]) for x in inputs]
    together = many(*samples)
    apart = [torch.cat(p) for p in zip(*(one(*(s[i : i + 1] for s in samples)) for i in range(3)), strict=True)]
    for a, b in zip(together, apart, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert {spec.shape[0] for spec in (*many.inputs, *many.outputs)} == {-1}
    assert {spec.shape[0] for spec in (*one.inputs, *one.outputs)} == {1}


def test_reshapes_and_windows():
    agree(Fn(lambda x: x.reshape(1, 2, 4, 2, 4).transpose(2, 3).reshape(4, 4, 4).softmax(-1).reshape(1, -1)), torch.randn(1, 8, 8))


def test_a_constant_token_is_expanded():
    token = nn.Parameter(torch.randn(1, 1, 8))
    model = Fn(lambda x: torch.cat([token.expand(x.shape[0], -1, -1), x], 1))
    model.token = token
    agree(model, torch.randn(1, 4, 8))


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_initial_states_are_expanded(layer):
    recurrent = layer(4, 5, 2, batch_first=True, bidirectional=True)
    agree(Fn(lambda x: recurrent(x)[0], layer=recurrent), torch.randn(1, 6, 4))


def test_expands_and_broadcasts():
    agree(Fn(lambda x: x.unsqueeze(1).expand(1, 3, 8) * torch.arange(3.0)[:, None]), torch.randn(1, 8))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + x.mean(0, keepdim=True) * 3,
        lambda x: (x.reshape(-1).softmax(0) * 100).reshape(1, 4, 8),
        lambda x: x.transpose(0, 1).reshape(1, 2, 16),
        lambda x: x[0].sum().reshape(1, 1),
    ],
)
def test_mixing_samples_is_found_out(function):
    assert batched(graph(Fn(function), torch.randn(1, 4, 8))) is None


def test_outputs_without_a_batch_are_refused():
    assert batched(graph(Fn(lambda x: x.sum()), torch.randn(1, 4))) is None
