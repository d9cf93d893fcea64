import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.graph import aten, constant_value, is_call
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators


def _kernels(graph):
    return [tuple(constant_value(n.args[1]).shape[2:]) for n in graph.nodes if is_call(n, aten.convolution.default)]


def _convolution(size, kernel, stride=(1, 1), padding=(1, 1), dilation=(1, 1)):
    x = torch.randn(2, 4, *size)

    def function(x, *, w):
        return aten.convolution.default(x, w, None, list(stride), list(padding), list(dilation), False, [0, 0], 2)

    return lowered(graph_of(function, [x], "block", w=torch.randn(6, 2, *kernel)), "crop_windows", inputs=(x,))


@pytest.mark.parametrize(
    ("size", "kernel", "options", "left"),
    [
        ((1, 1), (3, 3), {}, (1, 1)),
        ((1, 5), (3, 3), {}, (1, 3)),
        ((2, 2), (5, 5), {"padding": (2, 2)}, (3, 3)),
        ((1, 1), (1, 7), {"padding": (0, 3)}, (1, 1)),
        ((2, 2), (3, 3), {"stride": (2, 2)}, (2, 2)),
        ((1, 1), (4, 4), {"padding": (2, 2)}, (2, 2)),
        ((1, 1), (3, 3), {"padding": (2, 2), "dilation": (2, 2)}, (1, 1)),
        ((8, 8), (3, 3), {}, (3, 3)),
    ],
)
def test_taps_that_only_meet_padding_are_cut_off(size, kernel, options, left):
    assert _kernels(_convolution(size, kernel, **options)) == [left]


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_any_convolution_stays_the_same(size, kernel, stride, padding, dilation):
    if all(s + 2 * p > (k - 1) * d for s, p, k, d in zip(size, padding, kernel, dilation, strict=True)):
        _convolution(size, kernel, stride, padding, dilation)  # compares its results with those before


def test_a_pool_of_one_pixel_is_that_pixel():
    x = torch.randn(1, 4, 1, 1)
    for pool in (
        lambda x: aten.avg_pool2d.default(x, [3, 3], [1, 1], [1, 1], False, False),
        lambda x: aten.max_pool2d.default(x, [3, 3], [2, 2], [1, 1], [1, 1], False),
    ):
        graph = graph_of(lambda x, pool=pool: aten.relu.default(pool(x)), [x], "block")
        assert operators(lowered(graph, "crop_windows", inputs=(x,))) == {"relu": 1}


def test_a_pool_along_a_line_loses_the_rows_beside_it():
    x = torch.randn(1, 4, 1, 6)
    graph = graph_of(lambda x: aten.max_pool2d.default(x, [3, 3], [1, 1], [1, 1], [1, 1], False), [x], "block")
    (pool,) = [n for n in lowered(graph, "crop_windows", inputs=(x,)).nodes if is_call(n)]
    assert (pool.args[1], pool.args[3]) == ([1, 3], [0, 1])


def test_an_average_that_counts_padding_stays():
    x = torch.randn(1, 4, 1, 1)
    graph = graph_of(lambda x: aten.avg_pool2d.default(x, [3, 3], [1, 1], [1, 1], False, True), [x], "block")
    assert operators(lowered(graph, "crop_windows", inputs=(x,))) == {"avg_pool2d": 1}
