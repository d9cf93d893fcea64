import pytest
import torch

from edgekit.conversion.lowering import lower
from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.targets import load_target
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import check, encoding, normal, write

Q, K, V = normal(1, 4, 5, 8), normal(1, 4, 6, 8, seed=1), normal(1, 4, 6, 8, seed=2)


def attention(q, k, v, mask=None, **options):
    return aten.scaled_dot_product_attention.default(q, k, v, mask, **options)


@pytest.mark.parametrize("compute", ["float32", "float16"])
@pytest.mark.parametrize("scale", [None, 0.1])
def test_attention(scale, compute):
    written = check(graph_of(lambda q, k, v: attention(q, k, v, scale=scale), [Q, K, V]), Q, K, V, compute=compute)
    assert "scaled_dot_product_attention" in written.kinds


def test_masks():
    mask = torch.tensor([True, True, False, True, True, False]).expand(5, 6).contiguous()
    check(graph_of(attention, [Q, K, V], mask=mask), Q, K, V)
    check(graph_of(attention, [Q, K, V], mask=normal(5, 6)), Q, K, V, compute="float16")


def test_causal():
    check(graph_of(lambda q, k, v: attention(q, k, v, is_causal=True), [Q, Q, Q]), Q, Q, Q)


def test_shared_keys():
    k, v = normal(1, 2, 6, 8), normal(1, 2, 6, 8, seed=1)
    check(graph_of(lambda q, k, v: attention(q, k, v, enable_gqa=True), [Q, k, v]), Q, k, v)


def test_older_versions_have_it_lowered_and_refuse_it_whole():
    graph = graph_of(attention, [Q, K, V])
    older = load_target("ios").at("17")
    assert "softmax" in check(lower(graph, older.rules), Q, K, V, ios="17").kinds
    assert "scaled_dot_product_attention" not in load_target("ios").at("18").rules.lower
    with pytest.raises(ConversionError, match="need iOS 18"):
        write(graph, how=encoding("17"))
