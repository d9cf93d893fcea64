import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import check_float, check_integer

COMPARISONS = [aten.gt.Tensor, aten.lt.Tensor, aten.ge.Tensor, aten.le.Tensor, aten.eq.Tensor, aten.ne.Tensor]


@st.composite
def broadcasts(draw):
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    torch.manual_seed(draw(st.integers(0, 99)))
    shapes = [[1 if draw(st.integers(0, 3)) == 0 else s for s in shape][draw(st.integers(0, len(shape) - 1)) :] for _ in range(3)]
    return [torch.randint(-3, 4, s).float() for s in shapes]


@pytest.mark.parametrize("comparison", COMPARISONS, ids=str)
@given(case=broadcasts(), dtype=st.sampled_from([torch.float32, torch.int32]))
@settings(max_examples=8)
def test_comparisons(comparison, case, dtype):
    x, y = (t.to(dtype) for t in case[:2])
    check_float(graph_of(comparison, [x, y]), [x, y], tolerance=0)


def test_comparison_of_integers_is_done_in_float():
    x = torch.randn(3, 4)
    graph = graph_of(lambda x0, c: aten.gt.Tensor(c, x0), [x], c=torch.tensor(0.25))
    check_integer(graph, [x], all_integer=False)


def test_logic():
    x, y = torch.randn(2, 3, 4), torch.randn(3, 4)

    def function(x, y, zero):
        a, b = aten.gt.Tensor(x, zero), aten.gt.Tensor(y, zero)
        return aten.logical_and.default(a, b), aten.logical_or.default(a, b), aten.logical_not.default(a)

    check_float(graph_of(function, [x, y], zero=torch.tensor(0.0)), [x, y], tolerance=0)


@given(case=broadcasts(), fixed=st.booleans())
@settings(max_examples=20)
def test_where(case, fixed):
    condition, x, y = case[0] > 0, *case[1:]
    if fixed:
        graph = graph_of(lambda x0, x1, c: aten.where.self(c, x0, x1), [x, y], c=condition)
        check_integer(graph, [x, y])
        check_float(graph, [x, y], tolerance=0)
    else:
        check_float(graph_of(aten.where.self, [condition, x, y]), [condition, x, y], tolerance=0)


def test_where_over_a_number():
    x = torch.randn(1, 2, 3, 3)
    keep = torch.ones(3, 3, dtype=torch.bool).tril()
    graph = graph_of(lambda x0, k, n: aten.where.self(k, x0, n), [x], k=keep, n=torch.tensor(-1e9))
    check_float(graph, [x])


CASTS = [(torch.float32, torch.int32), (torch.int32, torch.float32), (torch.float32, torch.bool), (torch.bool, torch.float32),
         (torch.bool, torch.int32), (torch.int64, torch.int32), (torch.int32, torch.bool), (torch.float32, torch.int64)]  # fmt: skip


@pytest.mark.parametrize(("source", "target"), CASTS, ids=str)
def test_casts(source, target):
    x = (torch.randn(3, 4) * 3).to(source)
    feed = x.to(torch.int32) if source == torch.int64 else x
    graph = graph_of(lambda x0: aten.add.Tensor(aten._to_copy.default(x0, dtype=target), aten._to_copy.default(x0, dtype=target)), [x])
    if target != torch.bool:
        check_float(graph, [feed], tolerance=0)
    check_float(graph_of(lambda x0: aten._to_copy.default(x0, dtype=target), [x]), [feed], tolerance=0)
