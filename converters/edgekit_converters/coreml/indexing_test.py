import pytest
import torch

from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import check, normal, write

X = normal(3, 4, 5)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_index_select(dim):
    check(graph_of(lambda x, i: aten.index_select.default(x, dim, i), [X], i=torch.tensor([2, 0, 0])), X)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_gather(dim):
    index = torch.randint(0, X.shape[dim], X.shape, generator=torch.Generator().manual_seed(0))
    check(graph_of(lambda x, i: aten.gather.default(x, dim, i), [X], i=index), X)


def test_gather_of_fewer_elements_is_refused():
    with pytest.raises(ConversionError, match="fewer"):
        write(graph_of(lambda x, i: aten.gather.default(x, 0, i), [X], i=torch.zeros(2, 2, 2, dtype=torch.int64)))


@pytest.mark.parametrize("compute", ["float32", "float16"])
def test_embedding(compute):
    tokens = torch.tensor([[1, 0, 6]], dtype=torch.int32)
    check(graph_of(lambda t, w: aten.embedding.default(w, t), [tokens], w=normal(7, 4)), tokens, compute=compute)


@pytest.mark.parametrize("largest", [True, False])
def test_topk(largest):
    def function(x):
        found = aten.topk.default(x, 2, -1, largest)
        return found[0], found[1]

    check(graph_of(function, [X]), X)
