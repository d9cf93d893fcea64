import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators


def scored(shape=(3, 5), classes=2, dim=-1, bias=True):
    x, w, b = torch.randn(shape), torch.randn(classes, shape[-1]), torch.randn(classes)

    def function(x, w, b=None):
        return aten.softmax.int(aten.linear.default(x, w, b), dim)

    return lowered(graph_of(function, [x], "block", w=w, **({"b": b} if bias else {})), "binary_softmax", inputs=(x,))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5)])
def test_two_classes(shape, bias):
    assert operators(scored(shape, bias=bias)) == {"linear": 1, "sigmoid": 1}


@pytest.mark.parametrize("other", [{"classes": 3}, {"dim": 0, "shape": (2, 5)}])
def test_any_other_softmax_stays(other):
    assert operators(scored(**other)) == {"linear": 1, "softmax": 1}


def test_logits_that_something_else_reads_stay():
    x, w = torch.randn(3, 5), torch.randn(2, 5)

    def function(x, w):
        logits = aten.linear.default(x, w)
        return aten.softmax.int(logits, -1), logits

    assert "softmax" in operators(lowered(graph_of(function, [x], "block", w=w), "binary_softmax", inputs=(x,)))


def test_scores_of_any_size_are_as_exact():
    x, w = torch.tensor([[30.0], [-30.0], [0.0]]), torch.tensor([[1.0], [-1.0]])
    result = lowered(
        graph_of(lambda x, w: aten.softmax.int(aten.linear.default(x, w), 1), [x], "block", w=w), "binary_softmax", inputs=(x,)
    )
    torch.testing.assert_close(result(x)[0], torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), atol=1e-7, rtol=0)
