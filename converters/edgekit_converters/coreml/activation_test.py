import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import calling, check, normal

X = 3 * normal(2, 5, 7)

CASES = {
    "relu": aten.relu.default,
    "silu": aten.silu.default,
    "sigmoid": aten.sigmoid.default,
    "tanh": aten.tanh.default,
    "erf": aten.erf.default,
    "gelu": aten.gelu.default,
    "gelu tanh": lambda x: aten.gelu.default(x, approximate="tanh"),
    "hardsigmoid": aten.hardsigmoid.default,
    "hardswish": aten.hardswish.default,
    "elu": lambda x: aten.elu.default(x, 0.7),
    "selu": lambda x: aten.elu.default(x, 1.6732632, 1.0507010),
    "elu scaled inside": lambda x: aten.elu.default(x, 0.7, 1.5, 0.3),
    "leaky_relu": lambda x: aten.leaky_relu.default(x, 0.2),
    "softplus": aten.softplus.default,
    "softplus beta": lambda x: aten.softplus.default(x, 2.5),
    "mish": aten.mish.default,
    "softmax": lambda x: aten.softmax.int(x, 1),
    "log_softmax": lambda x: aten.log_softmax.int(x, -1),
    "relu6": lambda x: aten.clamp.default(x, 0.0, 6.0),
    "clamp": lambda x: aten.clamp.default(x, -0.5, 1.5),
    "clamp below": lambda x: aten.clamp.default(x, -0.5),
    "clamp above": lambda x: aten.clamp.default(x, None, 1.5),
}


@pytest.mark.parametrize("compute", ["float32", "float16"])
@pytest.mark.parametrize("name", CASES)
def test_activations(name, compute):
    check(graph_of(CASES[name], [X]), X, ios="16", compute=compute)


def test_clamp_of_integers():
    x = torch.arange(-4, 5, dtype=torch.int32)
    check(graph_of(lambda x0: aten.clamp.default(x0, -2, 3), [x]), x)


@pytest.mark.parametrize("shape", [(2, 5, 7), (2, 5), (1, 5, 3, 2)])
@pytest.mark.parametrize("slopes", [1, 5])
def test_prelu(shape, slopes):
    x = normal(*shape)
    check(graph_of(calling(aten.prelu.default), [x], weight=normal(slopes).abs()), x)


def test_log_softmax_of_large_values_stays_finite_in_half_precision():
    x = torch.tensor([[60000.0, 100.0, -60000.0]])
    written = check(graph_of(lambda x0: aten.log_softmax.int(x0, 1), [x]), x, compute="float16")
    assert written.outputs["y0"][0, 0] == 0
