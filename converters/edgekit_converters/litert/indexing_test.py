import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import KERNELS, check_float, check_integer

FEW = settings(max_examples=15)


@st.composite
def picks(draw):
    rank = draw(st.integers(1, 4))
    shape = [draw(st.integers(1, 5)) for _ in range(rank)]
    torch.manual_seed(draw(st.integers(0, 99)))
    return torch.randn(shape), draw(st.permutations(range(rank))), draw(st.integers(-rank, rank - 1))


@given(case=picks(), count=st.integers(1, 6), fixed=st.booleans())
@FEW
def test_index_select(case, count, fixed):
    x, order, dim = case
    index = torch.randint(0, x.shape[order[dim]], (count,), dtype=torch.int32)
    _check(lambda y, i: aten.index_select.default(y, dim, i), x, order, index, fixed)


@given(case=picks(), fixed=st.booleans(), data=st.data())
@FEW
def test_gather(case, fixed, data):
    x, order, dim = case
    sizes = [data.draw(st.integers(1, x.shape[d])) for d in order]
    index = torch.randint(0, x.shape[order[dim]], sizes, dtype=torch.int64 if fixed else torch.int32)
    _check(lambda y, i: aten.gather.default(y, dim, i if fixed else aten._to_copy.default(i, dtype=torch.int64)), x, order, index, fixed)


def _check(function, x, order, index, fixed):
    def permuted(x0, i):
        return function(aten.permute.default(x0, list(order)), i)

    if fixed:
        graph = graph_of(permuted, [x], i=index)
        check_float(graph, [x], tolerance=0)
        check_integer(graph, [x])
    else:
        check_float(graph_of(permuted, [x, index]), [x, index], tolerance=0)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (1, 2, 2)])
def test_embedding(shape):
    ids, table = torch.randint(0, 7, shape, dtype=torch.int32), torch.randn(7, 4)
    graph = graph_of(lambda x0, w: aten.embedding.default(w, x0), [ids], w=table)
    assert [op.name for op in check_float(graph, [ids], tolerance=0).ops] == ["GATHER"]
    check_integer(graph, [ids], all_integer=False)


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_embedding_with_a_scale_a_row(shape):
    ids, table = torch.randint(0, 7, shape, dtype=torch.int32), torch.randn(7, 4)

    def function(x0, w, s, z):
        return aten.embedding.default(aten.fake_quantize_per_channel_affine.default(w, s, z, 0, -127, 127), x0)

    graph = graph_of(function, [ids], w=table, s=table.abs().amax(1) / 127, z=torch.zeros(7, dtype=torch.int32))
    emitted = check_float(graph, [ids])
    assert "EMBEDDING_LOOKUP" in [op.name for op in emitted.ops] and "DEQUANTIZE" not in [op.name for op in emitted.ops]


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_topk(largest, dim):
    x = torch.randperm(60).reshape(3, 4, 5).float()
    graph = graph_of(lambda x0: tuple(aten.topk.default(x0, 2, dim, largest)[i] for i in range(2)), [x])
    check_float(graph, [x], kernels=("xnnpack", "built-in") if not largest else tuple(KERNELS), tolerance=0)


def test_topk_of_integers():
    x = torch.randperm(60).reshape(3, 20).float()
    graph = graph_of(lambda x0: aten.topk.default(x0, 4)[0], [x])
    check_integer(graph, [x])
