import numpy as np
import pytest
import torch

from edgekit.conversion.expected import UNSTABLE, distance
from edgekit.conversion.tolerance import expect
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of

X = {"x0": np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)}


def chain(x, w):
    for _ in range(6):
        x = aten.fake_quantize_per_tensor_affine.default(aten.relu.default(aten.linear.default(x, w)), 0.02, -128, -128, 127)
    return x


def test_outputs_are_the_graphs_own():
    graph = graph_of(aten.relu.default, [torch.zeros(1, 64)])
    got = expect(graph, X)
    assert np.array_equal(got.outputs["y0"], np.maximum(X["x0"], 0))
    assert not got.unstable


def test_a_float_graph_may_differ_in_its_last_bits_only():
    graph = graph_of(aten.mul.Tensor, [torch.zeros(1, 64)], other=torch.eye(64)[:1] + 1)
    got = expect(graph, X)
    assert 1e-6 < got.tolerance["y0"] < 1e-4


def test_rounding_errors_spread_through_integer_layers():
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)) / 6
    deep = expect(graph_of(chain, [torch.zeros(1, 64)], w=weight), X).tolerance["y0"]
    assert 0.02 < deep < 0.4


def test_a_chaotic_model_is_told():
    graph = graph_of(lambda x: aten.sin.default(aten.exp.default(aten.mul.Tensor(x, x))), [torch.zeros(1, 64)])
    assert not expect(graph, {"x0": X["x0"] / 4}).unstable
    assert expect(graph, {"x0": X["x0"] * 3}).unstable["y0"] > UNSTABLE


def test_the_same_graph_gives_the_same_tolerance():
    graph = graph_of(chain, [torch.zeros(1, 64)], w=torch.eye(64))
    assert expect(graph, X).tolerance == expect(graph, X).tolerance


def test_choices_are_compared_by_share():
    assert distance(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5])) == pytest.approx(0.25)
    assert distance(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == pytest.approx(2**0.5)
    assert distance(np.zeros((0, 3)), np.zeros((0, 3))) == 0
    assert distance(np.array([1.0, np.nan, np.inf]), np.array([1.0, 2.0, np.inf])) == 0


@pytest.mark.parametrize("kernel, wider", [(3, True), (1, False)])
def test_convolutions_of_several_taps_may_be_less_exact_where_a_runtime_says_so(kernel, wider):
    draw = torch.Generator().manual_seed(0)
    weight, x = torch.randn(4, 4, kernel, kernel, generator=draw), torch.randn(1, 4, 12, 12, generator=draw)
    graph = graph_of(lambda x, w: aten.convolution.default(x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1), [x], w=weight)
    exact, loose = (expect(graph, {"x0": x.numpy()}, convolutions=error).tolerance["y0"] for error in (0.0, 2.0**-10))
    assert (loose > 10 * exact) == wider
