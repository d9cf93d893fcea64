import onnx
import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.onnx.testing import check_float, write

UNARY = ["neg", "abs", "exp", "log", "sqrt", "rsqrt", "sin", "cos", "floor", "round"]
BINARY = ["add", "sub", "mul", "div", "gt", "lt", "ge", "le", "eq", "ne"]


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    x = torch.rand(2, 3, 4) * 4 + 0.1
    check_float(graph_of(getattr(aten, name).default, [x]), [x])


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("other", [(3, 4), (1,), (2, 1, 4), ()])
def test_binary_operands_broadcast(name, other):
    x, y = torch.randint(-3, 4, (2, 3, 4)).float(), torch.randint(1, 4, other).float()
    check_float(graph_of(getattr(aten, name).Tensor, [x, y]), [x, y])


@pytest.mark.parametrize("name", BINARY)
def test_binary_with_a_number(name):
    x = torch.randint(-3, 4, (2, 3)).float()
    check_float(graph_of(lambda x, c: getattr(aten, name).Tensor(x, c), [x], c=torch.tensor(2.0)), [x])


@pytest.mark.parametrize("name", BINARY)
def test_dtypes_are_promoted_as_pytorch_does(name):
    x, y = torch.randint(-3, 4, (2, 3)), torch.randint(1, 4, (2, 3)).float()
    check_float(graph_of(getattr(aten, name).Tensor, [x, y]), [x, y])
    check_float(graph_of(getattr(aten, name).Tensor, [x, y.int()]), [x, y.int()])


def test_alpha_scales_the_second_operand():
    x, y = torch.randn(2, 3), torch.randn(3)
    for overload in (aten.add.Tensor, aten.sub.Tensor):
        check_float(graph_of(lambda x, y, f=overload: f(x, y, alpha=2), [x, y]), [x, y])


@pytest.mark.parametrize("name", ["minimum", "maximum"])
def test_extremes(name):
    x, y = torch.randn(2, 3), torch.randn(3)
    check_float(graph_of(getattr(aten, name).default, [x, y]), [x, y])


def test_power():
    x, y = torch.rand(2, 3) + 0.5, torch.randn(3)
    check_float(graph_of(aten.pow.Tensor_Tensor, [x, y]), [x, y])


def test_where_and_logic():
    x, y = torch.randn(2, 3), torch.randn(2, 3)

    def function(x, y):
        both = aten.logical_or.default(aten.gt.Tensor(x, y), aten.logical_not.default(aten.logical_and.default(x, y)))
        return aten.where.self(both, x, y), both

    check_float(graph_of(function, [x, y]), [x, y])


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.bool, torch.float32])
def test_casts(dtype):
    x = torch.randn(2, 3) * 5
    check_float(graph_of(lambda x: aten._to_copy.default(x, dtype=dtype), [x]), [x])


def test_equal_constants_are_stored_once():
    x = torch.randn(2, 3)
    graph = graph_of(lambda x, a, b: aten.mul.Tensor(aten.add.Tensor(x, a), b), [x], a=torch.ones(3), b=torch.ones(3))

    assert len(onnx.load_from_string(write(graph)[1]).graph.initializer) == 1
