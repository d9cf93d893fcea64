import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators

X = torch.cat([torch.linspace(-30, 30, 241), torch.tensor([-200.0, 0.0, 200.0])]).reshape(2, -1)


@pytest.mark.parametrize(
    ("name", "call", "written"),
    [
        ("silu", aten.silu.default, {"sigmoid": 1, "mul": 1}),
        ("mish", aten.mish.default, {"sigmoid": 1, "sub": 2, "mul": 2, "div": 1}),
        ("hardsigmoid", aten.hardsigmoid.default, {"add": 1, "clamp": 1, "mul": 1}),
        ("softplus", aten.softplus.default, {"relu": 1, "abs": 1, "sigmoid": 1, "log": 1, "sub": 1}),
    ],
)
def test_equals_the_activation_over_its_whole_range(name, call, written):
    graph = graph_of(call, [X], "block")
    assert operators(lowered(graph, name, inputs=(X,), tolerance=1e-7)) == written


def test_mish_keeps_relative_precision_in_its_tail():
    x = torch.linspace(-60, -5, 50)
    graph = graph_of(aten.mish.default, [x], "block")
    torch.testing.assert_close(lowered(graph, "mish", inputs=(x,))(x)[0], aten.mish.default(x.double()).float(), rtol=1e-5, atol=0)


def test_erf():
    x = torch.cat([torch.linspace(-6, 6, 4001), torch.tensor([-1e6, 1e6, 1e-6])])
    counts = operators(lowered(graph_of(aten.erf.default, [x], "block"), "erf", inputs=(x,), tolerance=1.2e-6))
    assert counts == {"clamp": 1, "mul": 7, "add": 5, "tanh": 1}


@pytest.mark.parametrize("alpha", [1.0, 1.6732632423543772, 0.25])
def test_elu_with_a_parameter(alpha):
    graph = graph_of(lambda x: aten.elu.default(x, alpha), [X], "block")
    assert operators(lowered(graph, "elu", inputs=(X,))) == ({"elu": 1} if alpha == 1 else {"elu": 1, "relu": 1, "mul": 2, "add": 1})


def test_neg():
    ids = torch.arange(3, dtype=torch.int32)
    graph = graph_of(lambda x, i: (aten.neg.default(x), aten.neg.default(i)), [X, ids], "block")
    assert operators(lowered(graph, "neg", inputs=(X, ids))) == {"mul": 1, "neg": 1}


def test_a_convolution_computes_the_line_of_the_hard_sigmoid_behind_it():
    x = torch.randn(1, 3, 4, 4)

    def gate(x, w, b):
        return aten.hardsigmoid.default(aten.convolution.default(x, w, b, [1, 1], [0, 0], [1, 1], False, [0, 0], 1))

    graph = graph_of(gate, [x], "block", w=4 * torch.randn(2, 3, 1, 1), b=torch.randn(2))
    assert operators(lowered(graph, "hardsigmoid", "affine", inputs=(x,))) == {"convolution": 1, "clamp": 1}


@pytest.mark.parametrize("beta", [0.3, 1.0, 5.0])
def test_softplus_with_a_slope(beta):
    graph = graph_of(lambda x: aten.softplus.default(x, beta, 20), [X], "block")
    lowered(graph, "softplus", inputs=(X,))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_glu_gates_one_half_with_the_other(dim):
    x = torch.randn(4, 6, 8)
    graph = graph_of(lambda x: aten.glu.default(x, dim), [x], "block")
    assert operators(lowered(graph, "glu", inputs=(x,))) == {"slice": 2, "sigmoid": 1, "mul": 1}


@pytest.mark.parametrize(("shape", "r"), [((1, 3, 4, 6), 2), ((2, 5, 9, 3), 3), ((4, 8, 8), 4)])
def test_pixel_unshuffle_keeps_the_order_of_channels(shape, r):
    x = torch.randn(shape)
    graph = graph_of(lambda x: aten.pixel_unshuffle.default(x, r), [x], "block")
    result = lowered(graph, "pixel_unshuffle", inputs=(x,), tolerance=0)
    assert operators(result)["convolution"] == 1


@pytest.mark.parametrize(("shape", "r"), [((1, 4, 3, 2), 2), ((2, 12, 3, 2), 2), ((18, 3, 3), 3)])
def test_pixel_shuffle_of_any_value(shape, r):
    x = torch.randn(shape)
    graph = graph_of(lambda x: aten.pixel_shuffle.default(x, r), [x], "block")
    counts = operators(lowered(graph, "pixel_shuffle", inputs=(x,), tolerance=0))
    assert counts["depth_to_space"] == 1 and counts["index_select"] == (shape[-3] != r * r)


def test_a_convolution_orders_the_channels_of_the_pixel_shuffle_after_it():
    x = torch.randn(1, 3, 5, 5)

    def shuffled(x, w, b):
        y = aten.relu.default(aten.convolution.default(x, w, b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1))
        return aten.pixel_shuffle.default(y, 2)

    graph = graph_of(shuffled, [x], "block", w=torch.randn(8, 3, 3, 3), b=torch.randn(8))
    assert operators(lowered(graph, "pixel_shuffle", inputs=(x,))) == {"convolution": 1, "relu": 1, "depth_to_space": 1}
