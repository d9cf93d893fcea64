import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import check_float, check_integer

BINARY = {
    "add": aten.add.Tensor,
    "sub": aten.sub.Tensor,
    "mul": aten.mul.Tensor,
    "maximum": aten.maximum.default,
    "minimum": aten.minimum.default,
}
UNARY = ["abs", "exp", "log", "sqrt", "rsqrt", "neg", "sin", "cos", "floor", "ceil", "round"]


def divided(x, c):
    return aten.div.Tensor(x, c)


def raised(x, c):
    return aten.pow.Tensor_Tensor(x, c)


@st.composite
def broadcasts(draw):
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    left = [1 if draw(st.integers(0, 4)) == 0 else s for s in shape]
    right = [1 if draw(st.integers(0, 4)) == 0 else s for s in shape][draw(st.integers(0, len(shape) - 1)) :]
    if draw(st.booleans()):
        left, right = right, left
    return left, right, draw(st.permutations(range(len(left))))


@pytest.mark.parametrize("name", BINARY)
@given(case=broadcasts(), constant=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=12)
def test_binary(name, case, constant, seed):
    left, right, order = case
    torch.manual_seed(seed)
    back = [order.index(d) for d in range(len(order))]
    a, b = torch.randn([left[d] for d in order]), torch.randn(right)

    def function(x, y):
        return BINARY[name](aten.permute.default(x, back), y)

    graph = graph_of(function, [a], y=b) if constant else graph_of(function, [a, b])
    inputs = [a] if constant else [a, b]
    check_float(graph, inputs)
    check_integer(graph, inputs)


@pytest.mark.parametrize("name", BINARY)
def test_int16(name):
    a, b = torch.randn(2, 3, 4), torch.randn(3, 4)
    check_integer(graph_of(BINARY[name], [a, b]), [a, b], kernels=("built-in",), bits=16)


@pytest.mark.parametrize("bounds", [(0, None), (0, 6), (-1, 1), (0, 1)])
def test_clamps_are_fused(bounds):
    a, b = 4 * torch.randn(2, 3, 4), torch.randn(3, 4)
    graph = graph_of(lambda x, y: aten.clamp.default(aten.add.Tensor(x, y), *bounds), [a, b])
    assert [op.name for op in check_integer(graph, [a, b]).ops] == ["ADD"]
    names = [op.name for op in check_float(graph, [a, b]).ops]
    assert names == ["ADD"] if bounds != (0, 1) else names == ["ADD", "MAXIMUM", "MINIMUM"]


@given(case=broadcasts(), seed=st.integers(0, 99))
@settings(max_examples=12)
def test_division(case, seed):
    left, right, _ = case
    torch.manual_seed(seed)
    a, b = torch.randn(left), torch.rand(right) + 0.5
    graph = graph_of(aten.div.Tensor, [a, b])
    check_float(graph, [a, b])
    check_integer(graph, [a, b])
    check_float(graph_of(divided, [a], c=b), [a])


def test_division_by_a_power_of_two_multiplies():
    a = torch.randn(3, 4)
    graph = graph_of(divided, [a], c=torch.tensor(8.0))
    assert [op.name for op in check_float(graph, [a]).ops] == ["MUL"]


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    x = torch.rand(2, 3, 5) + 0.25
    operator = getattr(aten, name).default
    graph = graph_of(lambda x0: operator(aten.permute.default(x0, [0, 2, 1])), [x])
    kernels = ("xnnpack", "built-in") if name in ("ceil", "round") else ("xnnpack", "built-in", "reference")
    check_float(graph, [x], kernels)
    if name in ("abs", "exp", "log", "sqrt", "rsqrt"):
        check_integer(graph, [x])


@pytest.mark.parametrize("exponent", [2.0, 0.5, -0.5, 3.0, 1.7])
def test_power(exponent):
    x = torch.rand(2, 3) + 0.5
    check_float(graph_of(raised, [x], c=torch.tensor(exponent)), [x])


def test_operands_that_lie_differently_need_one_transpose():
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 4, 5, 3)
    graph = graph_of(lambda x, y: aten.permute.default(aten.add.Tensor(x, aten.permute.default(y, [0, 3, 1, 2])), [0, 2, 3, 1]), [a, b])
    assert [op.name for op in check_float(graph, [a, b]).ops] == ["TRANSPOSE", "ADD"]
