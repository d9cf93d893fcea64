import pytest

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import calling, check, normal


@pytest.mark.parametrize("shape", [(6,), (2, 6), (2, 3, 6), (2, 2, 3, 6)])
@pytest.mark.parametrize("compute", ["float32", "float16"])
def test_linear(shape, compute):
    x = normal(*shape)
    check(graph_of(calling(aten.linear.default), [x], weight=normal(4, 6), bias=normal(4)), x, compute=compute)
    check(graph_of(calling(aten.linear.default), [x], weight=normal(4, 6)), x, compute=compute)


def test_linear_of_a_computed_weight():
    x, w = normal(2, 6), normal(4, 6)
    written = check(graph_of(calling(aten.linear.default), [x, w], bias=normal(4)), x, w)
    assert written.kinds == ["matmul", "add"]


@pytest.mark.parametrize("left, right", [((2, 3), (3, 4)), ((2, 5, 2, 3), (5, 3, 4)), ((5, 2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,))])
def test_matmul(left, right):
    x, y = normal(*left), normal(*right, seed=1)
    check(graph_of(aten.matmul.default, [x, y]), x, y)
    check(graph_of(calling(aten.matmul.default), [x], other=y), x, compute="float16")
