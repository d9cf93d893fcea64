import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import check_float, check_integer


@st.composite
def convolutions(draw, transposed=False):
    dims = draw(st.sampled_from([1, 2, 2]))
    groups = 1 if transposed else draw(st.sampled_from([1, 1, 2, 4]))
    inner, outer = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    each = lambda low, high: [draw(st.integers(low, high)) for _ in range(dims)]  # noqa: E731
    kernel, stride, dilation, padding = each(1, 4), each(1, 3), each(1, 2), each(0, 2)
    sizes = each(4, 9)
    extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)] if transposed else [0] * dims
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if transposed:
        assume(all((n - 1) * s - 2 * p + r + e > 0 for n, s, p, r, e in zip(sizes, stride, padding, reach, extra, strict=True)))
        weight = [inner, outer, *kernel]
    else:
        assume(all(n + 2 * p >= r for n, p, r in zip(sizes, padding, reach, strict=True)))
        weight = [groups * outer, inner, *kernel]
    x = torch.randn(draw(st.integers(1, 2)), inner * groups, *sizes)
    w = torch.randn(weight)
    bias = torch.randn(weight[1] if transposed else weight[0]) if draw(st.booleans()) else None
    return x, w, bias, (stride, padding, dilation, transposed, extra, groups), draw(st.booleans())


def graph(x, w, bias, arguments, relu):
    def function(x0, w, b=None):
        y = aten.convolution.default(x0, w, b, *arguments)
        return aten.relu.default(y) if relu else y

    return graph_of(function, [x], w=w, **({} if bias is None else {"b": bias}))


@given(case=convolutions())
@settings(max_examples=60)
def test_convolution(case):
    check_float(graph(*case), [case[0]])
    check_integer(graph(*case), [case[0]])


@given(case=convolutions(transposed=True))
@settings(max_examples=40)
def test_transposed_convolution(case):
    check_float(graph(*case), [case[0]])
    check_integer(graph(*case), [case[0]])


@given(case=convolutions())
@settings(max_examples=15)
def test_int16_convolution(case):
    check_integer(graph(*case), [case[0]], kernels=("built-in", "reference"), bits=16)


@pytest.mark.parametrize("padding", [[0, 0, 0], [1, 1, 1], [2, 0, 1]])
def test_3d_convolution(padding):
    x, w = torch.randn(2, 3, 5, 6, 7), torch.randn(4, 3, 3, 3, 3)
    emitted = check_float(graph(x, w, torch.randn(4), ([1, 1, 1], padding, [1, 1, 1], False, [0, 0, 0], 1), True), [x])
    assert "CONV_3D" in [op.name for op in emitted.ops]


def test_depthwise_with_multiplier():
    x, w = torch.randn(1, 4, 8, 8), torch.randn(8, 1, 3, 3)
    emitted = check_integer(graph(x, w, None, ([1, 1], [1, 1], [1, 1], False, [0, 0], 4), False), [x])
    assert "DEPTHWISE_CONV_2D" in [op.name for op in emitted.ops]


@pytest.mark.parametrize("groups", [2, 4])
def test_grouped_transposed_convolution(groups):
    x, w = torch.randn(1, 4, 5, 6), torch.randn(4, 3, 3, 3)
    arguments = ([2, 2], [1, 1], [1, 1], True, [1, 0], groups)
    check_float(graph(x, w, torch.randn(3 * groups), arguments, relu=False), [x])
    emitted = check_integer(graph(x, w, torch.randn(3 * groups), arguments, relu=False), [x])
    assert any("dense" in note for note in emitted.notes)
