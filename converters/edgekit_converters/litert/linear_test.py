import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import check_float, check_integer


def linear_graph(x, w, b, before=lambda x: x, relu=False):
    def function(x0, w, b=None):
        y = aten.linear.default(before(x0), w, b)
        return aten.relu.default(y) if relu else y

    return graph_of(function, [x], w=w, **({} if b is None else {"b": b}))


@given(lead=st.lists(st.integers(1, 4), max_size=3), k=st.integers(1, 9), n=st.integers(1, 9), bias=st.booleans(), relu=st.booleans())
@settings(max_examples=40)
def test_linear(lead, k, n, bias, relu):
    x = torch.randn(*lead, k)
    graph = linear_graph(x, torch.randn(n, k), torch.randn(n) if bias else None, relu=relu)
    check_float(graph, [x])
    if lead:
        check_integer(graph, [x])
        check_integer(graph, [x], kernels=("built-in",), bits=16)


def test_flattening_channels_last_moves_nothing():
    x = torch.randn(2, 4, 5, 3)

    def before(x0):
        return aten.reshape.default(aten.permute.default(x0, [0, 3, 1, 2]), [2, 60])

    graph = linear_graph(x, torch.randn(7, 60), torch.randn(7), before)
    assert [op.name for op in check_float(graph, [x]).ops] == ["FULLY_CONNECTED"]
    assert [op.name for op in check_integer(graph, [x]).ops] == ["FULLY_CONNECTED"]


def test_dimensions_before_the_last_stay_where_they_lie():
    x = torch.randn(2, 3, 4, 5)

    def function(x0, w):
        y = aten.linear.default(aten.permute.default(x0, [0, 2, 1, 3]), w)
        return aten.permute.default(y, [0, 2, 1, 3])

    graph = graph_of(function, [x], w=torch.randn(6, 5))
    assert [op.name for op in check_float(graph, [x]).ops] == ["FULLY_CONNECTED"]


@given(
    batch=st.lists(st.integers(1, 3), max_size=2),
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
    drop=st.integers(0, 2),
    flips=st.tuples(st.booleans(), st.booleans()),
    constant=st.sampled_from(["", "left", "right"]),
)
@settings(max_examples=60)
def test_matmul(batch, sizes, drop, flips, constant):
    m, k, n = sizes
    a = torch.randn(*batch, *((k, m) if flips[0] else (m, k)))
    b = torch.randn(*batch[min(drop, len(batch)) :], *((n, k) if flips[1] else (k, n)))

    def permuted(x, rank, flip):
        return aten.permute.default(x, [*range(rank - 2), rank - 1, rank - 2]) if flip else x

    def function(x, y):
        return aten.matmul.default(permuted(x, a.ndim, flips[0]), permuted(y, b.ndim, flips[1]))

    if constant == "left":
        graph, inputs = graph_of(lambda x0, c: function(c, x0), [b], c=a), [b]
    elif constant == "right":
        graph, inputs = graph_of(function, [a], y=b), [a]
    else:
        graph, inputs = graph_of(function, [a, b]), [a, b]
    emitted = check_float(graph, inputs)
    if not any(flips) or not constant:
        check_integer(graph, inputs)
    if not constant:
        assert "TRANSPOSE" not in [op.name for op in emitted.ops]


@pytest.mark.parametrize("shapes", [((5,), (5,)), ((3, 5), (5,)), ((5,), (5, 3)), ((2, 3, 5), (5,))])
def test_vectors(shapes):
    a, b = torch.randn(shapes[0]), torch.randn(shapes[1])
    check_float(graph_of(aten.matmul.default, [a, b]), [a, b])
