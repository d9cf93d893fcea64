import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import check_float, check_integer

EVERY, NO_REFERENCE = ("xnnpack", "built-in", "reference"), ("xnnpack", "built-in")
UNARY = {
    "relu": (aten.relu.default, EVERY),
    "gelu": (aten.gelu.default, EVERY),
    "gelu tanh": (lambda x: aten.gelu.default(x, approximate="tanh"), EVERY),
    "hardswish": (aten.hardswish.default, EVERY),
    "leaky_relu": (lambda x: aten.leaky_relu.default(x, 0.2), EVERY),
    "elu": (aten.elu.default, NO_REFERENCE),
    "sigmoid": (aten.sigmoid.default, EVERY),
    "tanh": (aten.tanh.default, EVERY),
}
LAYOUTS = [((2, 3, 4, 5), [0, 3, 1, 2]), ((1, 7), [1, 0]), ((6,), [0]), ((2, 3, 5), [0, 1, 2])]


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize(("shape", "order"), LAYOUTS)
def test_unary(name, shape, order):
    function, kernels = UNARY[name]
    x = 3 * torch.randn(shape)
    graph = graph_of(lambda x0: function(aten.permute.default(x0, order)), [x])
    check_float(graph, [x], kernels, tolerance=2e-5 if "gelu" in name else 1e-5)
    check_integer(graph, [x], kernels)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "sigmoid", "tanh"])
def test_int16(name):
    x = 3 * torch.randn(2, 9)
    check_integer(graph_of(UNARY[name][0], [x]), [x], ("built-in", "reference"), bits=16, steps=2)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [1, -1, 2])
def test_softmax(name, dim):
    x = 3 * torch.randn(2, 3, 4, 5)
    operator = getattr(aten, name).int
    graph = graph_of(lambda x0: operator(aten.permute.default(x0, [0, 3, 1, 2]), dim), [x])
    check_float(graph, [x])
    emitted = check_integer(graph, [x])
    if dim == 1:
        assert [op.name for op in emitted.ops] == [name.upper(), "TRANSPOSE"]


@pytest.mark.parametrize("bounds", [(0, None), (0, 6), (-1, 1), (0, 1), (-0.5, 2.5), (None, 1), (0.25, None)])
def test_clamp(bounds):
    x = 4 * torch.randn(2, 3, 4)
    graph = graph_of(lambda x0: aten.clamp.default(x0, *bounds), [x])
    check_float(graph, [x])
    check_integer(graph, [x])


@pytest.mark.parametrize("count", [1, 5])
def test_prelu(count):
    x = torch.randn(2, 3, 4, 5)
    graph = graph_of(lambda x0, c: aten.prelu.default(aten.permute.default(x0, [0, 3, 1, 2]), c), [x], c=torch.rand(count))
    check_float(graph, [x])
    check_integer(graph, [x])


@pytest.mark.parametrize("parameters", [(0.5,), (1.6732, 1.0507), (2.0, 1.0, 0.5)])
def test_elu_of_any_shape(parameters):
    x = torch.randn(2, 9)
    check_float(graph_of(lambda x0: aten.elu.default(x0, *parameters), [x]), [x])
