"""Written-out activations get their name back; near misses do not."""

import math

import pytest
import torch
import torch.nn.functional as F

from edgekit.canonicalize.spelling_test import Fn
from edgekit.testing.proving import prove

TANH = math.sqrt(2 / math.pi)
NAMED = {
    "silu": [lambda x: x * torch.sigmoid(x), lambda x: torch.sigmoid(x) * x],
    "hardsigmoid": [lambda x: F.relu6(x + 3) / 6, lambda x: F.relu6(3 + x) * (1 / 6), lambda x: (x / 6 + 0.5).clamp(0, 1)],
    "hardswish": [lambda x: x * F.relu6(x + 3) / 6, lambda x: x * (F.relu6(x + 3) * (1 / 6)), lambda x: x * F.hardsigmoid(x)],
    "gelu": [
        lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
        lambda x: x * 0.5 * (1 + torch.erf(x * math.sqrt(0.5))),
        lambda x: x * (0.5 * (torch.erf(x / math.sqrt(2)) + 1)),
        lambda x: 0.5 * x * (1 + torch.tanh(TANH * (x + 0.044715 * x**3))),
        lambda x: 0.5 * x * (1 + torch.tanh(TANH * (x + 0.044715 * torch.pow(x, 3.0)))),
        lambda x: 0.5 * x * (1 + torch.tanh(x * TANH * (1 + 0.044715 * x * x))),
    ],
    "mish": [lambda x: x * torch.tanh(F.softplus(x))],
}


@pytest.mark.parametrize(("name", "index"), [(n, i) for n, fs in NAMED.items() for i in range(len(fs))])
def test_recognised(name, index):
    assert prove(Fn(NAMED[name][index]), 3 * torch.randn(2, 50), tolerance=1e-7) == {name: 1}


def test_the_three_of_a_hard_sigmoid_survives_a_bias():
    conv = torch.nn.Conv2d(3, 4, 1)
    model = Fn(lambda x: F.relu6(conv(x) + 3) / 6, conv=conv)
    assert prove(model, torch.randn(1, 3, 4, 4)) == {"convolution": 1, "hardsigmoid": 1}


@pytest.mark.parametrize(
    "function", [lambda x: x * torch.sigmoid(1.702 * x), lambda x: F.relu6(x + 2) / 6, lambda x: 0.5 * x * (1 + torch.erf(x / 2))]
)
def test_near_misses_stay(function):
    assert not set(prove(Fn(function), torch.randn(2, 9))) & set(NAMED)
