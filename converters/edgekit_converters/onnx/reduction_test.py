import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.onnx.testing import check_float


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("dims", [[1], [-1, 0], [0, 1, 2]])
def test_reductions(dims, keep):
    x = torch.randn(2, 3, 4)
    for function in (aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.amin.default):
        check_float(graph_of(lambda x, f=function: f(x, dims, keep), [x]), [x])


def test_of_all_dimensions():
    x = torch.randn(2, 3)
    check_float(graph_of(lambda x: aten.mean.dim(x, None, False), [x]), [x])


def test_product_and_running_sum():
    x = torch.randn(2, 3, 4)
    check_float(graph_of(lambda x: aten.prod.dim_int(x, 1), [x]), [x])
    check_float(graph_of(lambda x: aten.cumsum.default(x, -1), [x]), [x])


def test_sum_of_truths_counts_them():
    x = torch.randn(2, 3)
    check_float(graph_of(lambda x, z: aten.sum.dim_IntList(aten.gt.Tensor(x, z), [1]), [x], z=torch.zeros(())), [x])


@pytest.mark.parametrize(("dim", "keep"), [(1, False), (-1, True), (None, False)])
def test_argmax(dim, keep):
    x = torch.randn(2, 3, 4)
    check_float(graph_of(lambda x: aten.argmax.default(x, dim, keep), [x]), [x])


@pytest.mark.parametrize("largest", [True, False])
def test_topk(largest):
    x = torch.randn(2, 7)

    def function(x):
        found = aten.topk.default(x, 3, -1, largest)
        return found[0], found[1]

    check_float(graph_of(function, [x]), [x])
