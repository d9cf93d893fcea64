import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import check, normal, write

X = normal(2, 3, 4, 6)
CASES = {
    "permute": lambda x: aten.permute.default(x, [0, -1, 1, 2]),
    "reshape": lambda x: aten.reshape.default(x, [6, -1]),
    "expand": lambda x: aten.expand.default(aten.reshape.default(x, [2, 1, 3, 24]), [2, 4, 3, 24]),
    "expand in front": lambda x: aten.expand.default(x, [5, 2, 3, 4, 6]),
    "repeat": lambda x: aten.repeat.default(x, [1, 2, 1, 3]),
    "repeat in front": lambda x: aten.repeat.default(x, [2, 1, 1, 2, 1]),
    "flip": lambda x: aten.flip.default(x, [1, -1]),
    "pixel_shuffle": lambda x: aten.pixel_shuffle.default(aten.reshape.default(x, [1, 12, 3, 4]), 2),
    "pixel_unshuffle": lambda x: aten.pixel_unshuffle.default(x, 2),
    "cat": lambda x: aten.cat.default([x, x, x], -2),
}


@pytest.mark.parametrize("name", CASES)
def test_moves(name):
    check(graph_of(CASES[name], [X]), X, ios="16", compute="float16")


@given(data=st.data())
@settings(max_examples=20)
def test_slice(data):
    dim = data.draw(st.integers(-4, 3))
    start = data.draw(st.integers(-X.shape[dim], X.shape[dim] - 1))
    first = start % X.shape[dim]
    end, step = data.draw(st.integers(first + 1, X.shape[dim])), data.draw(st.integers(1, 3))
    check(graph_of(lambda x: aten.slice.Tensor(x, dim, start, end, step), [X]), X)


def test_slices_in_a_row_are_one():
    def shortcut(x):
        pixels = aten.slice.Tensor(aten.slice.Tensor(x, 2, 1, 4, 2), 3, 0, 6, 3)
        return aten.pad.default(pixels, [0, 0, 0, 0, 1, 2], "constant", 0.0), aten.slice.Tensor(pixels, 3, 1, 2, 1)

    kinds = check(graph_of(shortcut, [X]), X, ios="16", compute="float16").kinds
    assert (kinds.count("slice_by_index"), kinds.count("conv")) == (2, 0)


@given(data=st.data())
@settings(max_examples=30)
def test_pad(data):
    mode = data.draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    low = -1 if mode == "constant" else 0
    amounts = [data.draw(st.integers(low, 2)) for _ in range(4 if mode != "constant" else 8)]
    value = data.draw(st.sampled_from([None, 0.0, 0.75])) if mode == "constant" else None
    check(graph_of(lambda x: aten.pad.default(x, amounts, mode, value), [X]), X)


def test_pad_of_integers():
    x = torch.arange(6, dtype=torch.int32).reshape(2, 3)
    check(graph_of(lambda x0: aten.pad.default(x0, [1, 2], "constant", 7), [x]), x)


def test_more_dimensions_than_core_ml_has_are_refused():
    with pytest.raises(ConversionError, match="6 dimensions") as error:
        write(graph_of(lambda x: aten.reshape.default(x, [1, 2, 3, 2, 2, 6]), [X], "attention.windows"))
    assert error.value.module == "attention.windows"
