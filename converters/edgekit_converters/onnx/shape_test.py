import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import edgekit.ops  # noqa: F401
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.onnx.testing import check_float

X = torch.randn(2, 3, 4, 5)
MOVES = {
    "reshape": lambda x: aten.reshape.default(x, [6, -1]),
    "permute": lambda x: aten.permute.default(x, [0, -1, 1, 2]),
    "expand": lambda x: aten.expand.default(aten.slice.Tensor(x, 1, 0, 1, 1), [2, 6, 4, 5]),
    "cat": lambda x: aten.cat.default([x, x], -1),
    "slice": lambda x: aten.slice.Tensor(x, 2, 1, 9223372036854775807, 2),
    "slice from the end": lambda x: aten.slice.Tensor(x, 3, -3, -1, 1),
    "flip": lambda x: aten.flip.default(x, [1, -1]),
    "flip nothing": lambda x: aten.flip.default(x, []),
    "repeat": lambda x: aten.repeat.default(x, [2, 1, 2, 1, 3]),
    "pixel_shuffle": lambda x: aten.pixel_shuffle.default(aten.reshape.default(x, [1, 12, 2, 5]), 2),
    "pixel_unshuffle": lambda x: aten.pixel_unshuffle.default(aten.reshape.default(x, [5, 1, 4, 6]), 2),
    "depth_to_space": lambda x: torch.ops.edgekit.depth_to_space.default(aten.reshape.default(x, [1, 12, 2, 5]), 2),
    "layer_norm": lambda x: aten.layer_norm.default(x, [4, 5]),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves(name):
    check_float(graph_of(MOVES[name], [X]), [X])


@given(mode=st.sampled_from(["constant", "reflect", "replicate", "circular"]), data=st.data())
@settings(max_examples=20)
def test_pad(mode, data):
    amounts = [data.draw(st.integers(-1 if mode == "constant" else 0, 2)) for _ in range(4)]
    value = data.draw(st.sampled_from([None, 0.75])) if mode == "constant" else None
    check_float(graph_of(lambda x: aten.pad.default(x, amounts, mode, value), [X]), [X], tolerance=0)


def test_indexing():
    ids, x = torch.tensor([2, 0, 1]), torch.randn(4, 3)
    check_float(graph_of(aten.embedding.default, [x, ids]), [x, ids], tolerance=0)
    check_float(graph_of(lambda x, i: aten.index_select.default(x, 1, i), [x, ids]), [x, ids], tolerance=0)
    places = torch.randint(0, 3, (4, 2))
    check_float(graph_of(lambda x, i: aten.gather.default(x, 1, i), [x, places]), [x, places], tolerance=0)


@pytest.mark.parametrize("parameters", [{}, {"weight": torch.randn(6), "bias": torch.randn(6)}])
@pytest.mark.parametrize("shape", [(2, 6, 5), (2, 6, 4, 5)])
def test_group_norm(shape, parameters):
    x = torch.randn(shape)
    check_float(graph_of(lambda x, weight=None, bias=None: aten.group_norm.default(x, 3, weight, bias), [x], **parameters), [x])


@pytest.mark.parametrize(("size", "factors"), [([8, 10], None), ([6, 7], None), (None, [2.0, 3.0]), (None, [1.5, 1.4]), ([3, 2], None)])
def test_resizing_samples_where_pytorch_does(size, factors):
    check_float(graph_of(lambda x: aten.upsample_nearest2d.vec(x, size, factors), [X]), [X], tolerance=0)
    for corners in (True, False):
        check_float(graph_of(lambda x, c=corners: aten.upsample_bilinear2d.vec(x, size, c, factors), [X]), [X])
