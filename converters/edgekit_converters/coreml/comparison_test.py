import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import check, normal

X, Y = normal(2, 3).round(), normal(2, 3, seed=1).round()
COMPARISONS = {name: getattr(aten, name).Tensor for name in ("gt", "lt", "ge", "le", "eq", "ne")}


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons(name):
    written = check(graph_of(COMPARISONS[name], [X, Y]), X, Y)
    assert [s.dtype for s in written.emitted.outputs] == ["int32"]


def test_comparison_of_an_integer_with_a_real_number():
    n = torch.tensor([[1, 2, 3]], dtype=torch.int32)
    check(graph_of(aten.gt.Tensor, [n, Y]), n, Y, compute="float16")


def test_logic_and_choice():
    def function(x, y):
        both = aten.logical_and.default(aten.gt.Tensor(x, y), aten.logical_not.default(aten.eq.Tensor(x, y)))
        return aten.where.self(aten.logical_or.default(both, aten.lt.Tensor(x, y)), x, y)

    check(graph_of(function, [X, Y]), X, Y, compute="float16")


def test_choice_among_constants_broadcasts():
    def function(x, mask, other):
        return aten.where.self(mask, x, other)

    check(graph_of(function, [X], mask=torch.tensor([True, False, True]), other=torch.tensor(-1e9)), X)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.float32])
def test_casts(dtype):
    check(graph_of(lambda x: aten._to_copy.default(x, dtype=dtype), [X]), X)


def test_truths_come_in_as_integers():
    x = torch.tensor([[True, False]])
    written = check(graph_of(aten.logical_not.default, [x]), x)
    assert [s.dtype for s in written.emitted.inputs] == ["int32"]
