import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import KERNELS, check_float, check_integer

REDUCTIONS = {"mean": aten.mean.dim, "sum": aten.sum.dim_IntList, "amax": aten.amax.default, "amin": aten.amin.default}
KINDS = {"sum": ("xnnpack", "built-in")}
"""The reference kernel of an int8 SUM is wrong."""


@st.composite
def reductions(draw):
    rank = draw(st.integers(1, 4))
    x = torch.randn([draw(st.integers(1, 6)) for _ in range(rank)], generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
    dims = sorted(draw(st.lists(st.integers(0, rank - 1), min_size=1, unique=True)))
    return x, list(draw(st.permutations(range(rank)))), dims, draw(st.booleans())


@pytest.mark.parametrize("name", REDUCTIONS)
@given(case=reductions())
@settings(max_examples=20)
def test_reductions(name, case):
    x, order, dims, keep = case
    graph = graph_of(lambda x0: REDUCTIONS[name](aten.permute.default(x0, order), dims, keep), [x])
    check_float(graph, [x])
    check_integer(graph, [x], KINDS.get(name, tuple(KERNELS)))


@given(case=reductions())
@settings(max_examples=10)
def test_prod_cumsum_argmax(case):
    x, order, (dim, *_), keep = case
    for function in (
        lambda y: aten.prod.dim_int(y, dim, keep),
        lambda y: aten.cumsum.default(y, dim),
        lambda y: aten.argmax.default(y, dim, keep),
        lambda y: aten.argmax.default(y, None, keep),
    ):
        check_float(graph_of(lambda x0, f=function: f(aten.permute.default(x0, order)), [x]), [x])


def test_argmax_of_integers():
    x = torch.randperm(60).reshape(3, 4, 5).float()
    check_integer(graph_of(lambda x0: aten.argmax.default(x0, 1), [x]), [x])


def test_global_average_of_a_channels_last_image_is_one_mean():
    x = torch.randn(1, 5, 4, 6)
    graph = graph_of(lambda x0: aten.mean.dim(aten.permute.default(x0, [0, 3, 1, 2]), [2, 3], False), [x])
    assert [op.name for op in check_integer(graph, [x]).ops] == ["MEAN"]


def test_a_reduction_sees_through_a_merged_view():
    x = torch.randn(1, 5, 4, 6)
    graph = graph_of(lambda x0: aten.mean.dim(aten.reshape.default(aten.permute.default(x0, [0, 3, 1, 2]), [1, 6, 20]), [2], False), [x])
    names = [op.name for op in check_float(graph, [x]).ops]
    assert "TRANSPOSE" not in names
