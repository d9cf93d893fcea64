import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.onnx.testing import check_float

UNARY = {
    "relu": aten.relu.default,
    "gelu": aten.gelu.default,
    "gelu tanh": lambda x: aten.gelu.default(x, approximate="tanh"),
    "silu": aten.silu.default,
    "sigmoid": aten.sigmoid.default,
    "tanh": aten.tanh.default,
    "hardswish": aten.hardswish.default,
    "hardsigmoid": aten.hardsigmoid.default,
    "elu": lambda x: aten.elu.default(x, 0.7),
    "selu": lambda x: aten.elu.default(x, 1.6732, 1.0507),
    "celu": lambda x: aten.elu.default(x, 1.5, 1.0, 1 / 1.5),
    "leaky_relu": lambda x: aten.leaky_relu.default(x, 0.2),
    "softplus": aten.softplus.default,
    "softplus beta": lambda x: aten.softplus.default(x, 2.5, 20),
    "mish": aten.mish.default,
    "erf": aten.erf.default,
    "glu": lambda x: aten.glu.default(x, 1),
    "softmax": lambda x: aten.softmax.int(x, 1),
    "log_softmax": lambda x: aten.log_softmax.int(x, -1),
    "clamp": lambda x: aten.clamp.default(x, -0.5, 2.5),
    "clamp low": lambda x: aten.clamp.default(x, -0.5, None),
    "clamp high": lambda x: aten.clamp.default(x, None, 1),
    "clamp at zero": lambda x: aten.clamp.default(x, 0, None),
}


@pytest.mark.parametrize("name", UNARY)
def test_activation(name):
    torch.manual_seed(0)
    for shape in ((2, 4, 3, 5), (3, 6)):
        x = 4 * torch.randn(shape)
        check_float(graph_of(UNARY[name], [x]), [x])


def test_a_clamp_at_zero_is_a_relu():
    x = torch.randn(2, 3)
    assert [op.name for op in check_float(graph_of(UNARY["clamp at zero"], [x]), [x]).ops] == ["Relu"]


@pytest.mark.parametrize("bounds", [(0, 6), (None, 3), (-2, None)])
def test_integers_are_clamped_too(bounds):
    x = torch.arange(-5, 10)
    check_float(graph_of(lambda x: aten.clamp.default(x, *bounds), [x]), [x])


@given(count=st.sampled_from([1, 4]), shape=st.sampled_from([(2, 4), (2, 4, 3), (2, 4, 3, 5)]))
@settings(max_examples=6)
def test_prelu_slopes_belong_to_channels(count, shape):
    x = torch.randn(shape)

    def function(x, slope):
        return aten.prelu.default(x, slope)

    check_float(graph_of(function, [x], slope=torch.rand(count)), [x])
