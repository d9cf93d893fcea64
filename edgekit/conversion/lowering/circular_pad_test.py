import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators


def padded(size, amounts, mode="circular"):
    x = torch.randn(2, 3, *size)
    return lowered(graph_of(lambda x: aten.relu.default(aten.pad.default(x, amounts, mode)), [x], "block"), "circular_pad", inputs=(x,))


@given(st.tuples(st.integers(2, 5), st.integers(2, 5)), st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_any_edges_are_what_they_were(size, amounts):
    assert "pad" not in operators(padded(size, amounts))  # `lowered` compares its results with those before


def test_other_padding_stays():
    for mode in ("constant", "reflect", "replicate"):
        assert operators(padded((4, 4), [1, 1, 1, 1], mode))["pad"] == 1


def test_an_axis_that_is_cut_stays():
    assert operators(padded((4, 4), [1, 1, -1, 1]))["pad"] == 1
