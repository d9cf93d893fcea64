import pytest
import torch
from torch.nn import functional

from edgekit.compress.cluster.moments import can_fit, moments
from edgekit.compress.cluster.reconstruction import Seen, reconstruct
from edgekit.data import Samples
from edgekit.graph import aten, is_call, op_name
from edgekit.testing.graphs import graph_of

CONVOLUTIONS = {
    "plain": ((1, 4, 6, 6), (5, 4, 3, 3), ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)),
    "strided and dilated": ((1, 4, 9, 9), (5, 4, 3, 3), ([2, 1], [0, 2], [1, 2], False, [0, 0], 1)),
    "grouped": ((1, 4, 6, 6), (6, 2, 3, 1), ([1, 1], [1, 0], [1, 1], False, [0, 0], 2)),
    "depthwise": ((1, 4, 6, 6), (4, 1, 3, 3), ([1, 1], [1, 1], [1, 1], False, [0, 0], 4)),
    "one dimension": ((1, 4, 12), (5, 4, 3), ([2], [1], [1], False, [0], 1)),
}


def _convolution(name):
    shape, kernel, options = CONVOLUTIONS[name]
    weight, bias = torch.randn(kernel), torch.randn(kernel[0])
    graph = graph_of(lambda x, w, b: aten.convolution.default(x, w, b, *options), [torch.randn(shape)], "conv", w=weight, b=bias)
    return graph, weight, next(n for n in graph.nodes if is_call(n))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_outputs_are_products_of_the_weight_with_the_inputs_moments(name):
    graph, weight, node = _convolution(name)
    inputs = [torch.randn(3, *CONVOLUTIONS[name][0][1:]) for _ in range(2)]
    outputs = [graph(x)[0] for x in inputs]
    cross, square = moments(node, Seen(inputs, outputs))
    rows = weight.reshape(cross.shape).double()
    torch.testing.assert_close(rows @ square, cross, atol=1e-4, rtol=1e-4)


def test_moments_of_a_linear_over_many_rows():
    weight = torch.randn(3, 5)
    graph = graph_of(lambda x, w: aten.linear.default(x, w, None), [torch.randn(1, 7, 5)], "head", w=weight)
    node, x = next(n for n in graph.nodes if is_call(n)), torch.randn(4, 7, 5)
    cross, square = moments(node, Seen([x], [functional.linear(x, weight)]))
    flat = (x.reshape(-1, 5) - x.reshape(-1, 5).mean(0)).double()
    torch.testing.assert_close(square[0], flat.T @ flat / len(flat), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weight.double() @ square[0], cross[0], atol=1e-5, rtol=1e-5)


def test_what_cannot_be_fitted_is_known():
    options = ([1, 1], [0, 0], [1, 1], True, [0, 0], 1)
    graph = graph_of(lambda x, w: aten.convolution.default(x, w, None, *options), [torch.randn(1, 3, 4, 4)], w=torch.randn(3, 2, 2, 2))
    assert not can_fit(next(n for n in graph.nodes if is_call(n)))
    assert all(can_fit(_convolution(name)[2]) for name in CONVOLUTIONS)


def _residual():
    def function(x, *, a, b, w, v, s):
        y = aten.relu.default(aten.convolution.default(x, a, w, [1, 1], [1, 1], [1, 1], False, [0, 0], 1))
        z = aten.add.Tensor(aten.convolution.default(y, b, v, [1, 1], [1, 1], [1, 1], False, [0, 0], 1), y)
        return aten.mul.Tensor(z, s)

    constants = {"a": torch.randn(4, 3, 3, 3), "b": torch.randn(4, 4, 3, 3), "w": torch.randn(4), "v": torch.randn(4)}
    return graph_of(function, [torch.randn(1, 3, 6, 6)], "block", **constants, s=torch.tensor(0.5))


def test_each_layer_sees_what_the_layers_before_it_lost_and_biases_take_the_mean():
    graph, seen = _residual(), {}
    x = torch.randn(8, 3, 6, 6)
    layers = [n.name for n in graph.nodes if is_call(n) and op_name(n) == "convolution"]

    def choose(node, what):
        seen[node.name] = what
        return torch.round(graph.module.get_buffer(str(node.args[1].target)))

    found = reconstruct(graph, Samples({"x0": x.numpy()}), dict.fromkeys(layers, choose), "compressing layers")
    first = functional.conv2d(x, graph.module.a, graph.module.w, padding=1)
    torch.testing.assert_close(torch.cat(seen[layers[0]].outputs), first)
    rounded = functional.conv2d(x, graph.module.a.round(), found.biases[layers[0]], padding=1)
    torch.testing.assert_close(torch.cat(seen[layers[1]].inputs), rounded.relu())
    torch.testing.assert_close(rounded.mean((0, 2, 3)), first.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.weights[layers[1]], graph.module.b.round())
