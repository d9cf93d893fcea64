import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import check_float, check_integer


@st.composite
def pools(draw):
    pair = lambda low, high: [draw(st.integers(low, high)) for _ in range(2)]  # noqa: E731
    kernel, stride, sizes = pair(1, 4), pair(1, 3), pair(4, 9)
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    assume(all(n + 2 * p >= k for n, p, k in zip(sizes, padding, kernel, strict=True)))
    return torch.randn(draw(st.integers(1, 2)), draw(st.integers(1, 4)), *sizes), (kernel, stride, padding), draw(st.booleans())


@given(case=pools(), relu=st.booleans())
@settings(max_examples=50)
def test_max_pool(case, relu):
    x, (kernel, stride, padding), ceil = case

    def function(x0):
        x0 = aten.relu.default(x0) if relu else x0
        return aten.max_pool2d.default(x0, kernel, stride, padding, [1, 1], ceil)

    graph = graph_of(function, [x])
    names = [op.name for op in check_float(graph, [x]).ops]
    assert not relu or "PADV2" not in names
    check_integer(graph, [x])


@given(case=pools(), counted=st.booleans())
@settings(max_examples=50)
def test_avg_pool(case, counted):
    x, (kernel, stride, padding), ceil = case
    graph = graph_of(lambda x0: aten.avg_pool2d.default(x0, kernel, stride, padding, ceil, counted), [x])
    check_float(graph, [x])
    check_integer(graph, [x], all_integer=False)


def test_int16():
    x = torch.randn(1, 3, 6, 6)
    for function in (aten.avg_pool2d.default, aten.max_pool2d.default):
        check_integer(graph_of(lambda x0, f=function: f(x0, [2, 2]), [x]), [x], ("built-in", "reference"), bits=16)


@pytest.mark.parametrize("dtype", [check_float, check_integer])
def test_a_pool_of_the_whole_plane_is_a_mean(dtype):
    x = torch.randn(1, 5, 6, 3)
    graph = graph_of(lambda x0: aten.avg_pool2d.default(aten.permute.default(x0, [0, 3, 1, 2]), [5, 6]), [x])
    assert next(op.name for op in dtype(graph, [x]).ops) == "MEAN"


@pytest.mark.parametrize("pads", [[0, 1, 0, 1], [1, 1, 0, 1], [2, 2, 2, 2], [3, 0, 0, 0]])
def test_a_maximum_does_not_notice_repeated_edges(pads):
    x = torch.randn(1, 3, 8, 6)
    graph = graph_of(lambda x0: aten.max_pool2d.default(aten.pad.default(x0, pads, "replicate", None), [3, 3], [2, 2]), [x])
    names = [op.name for op in check_float(graph, [x]).ops]
    assert ("GATHER" in names) == (pads[0] == 3), "a window that sees edges only does notice"
    assert pads != [0, 1, 0, 1] or names == ["TRANSPOSE", "MAX_POOL_2D", "TRANSPOSE"]
    check_integer(graph, [x])


@pytest.mark.parametrize("pads", [[0, 1, 0, 1], [2, 0], [1, 1, 2, 2]])
def test_a_maximum_does_not_notice_minus_infinity(pads):
    x = torch.randn(1, 3, 8, 6)
    graph = graph_of(lambda x0: aten.max_pool2d.default(aten.pad.default(x0, pads, "constant", float("-inf")), [3, 3], [2, 2]), [x])
    assert "MAX_POOL_2D" in [op.name for op in check_float(graph, [x]).ops]
