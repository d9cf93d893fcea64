import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators


def _conv(x, w):
    return aten.convolution.default(x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)


def _every(x, *steps):
    for dim, step in steps:
        x = aten.slice.Tensor(x, dim, 0, 9223372036854775807, step)
    return x


@pytest.mark.parametrize("steps", [[(2, 2)], [(3, 3)], [(2, 2), (3, 2)], [(3, 2), (2, 3)]])
@pytest.mark.parametrize("pads", [None, [0, 0, 0, 0, 1, 2], [0, 0, 0, 0, 0, 4, 0, 0]])
@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
def test_an_image_is_subsampled_by_one_convolution(steps, pads, size):
    x = torch.randn(2, 3, *size)

    def function(x, w):
        y = _every(aten.relu.default(_conv(x, w)), *steps)
        return y if pads is None else aten.pad.default(y, pads, "constant", 0.0)

    graph = graph_of(function, [x], "block", w=torch.randn(4, 3, 1, 1))
    assert operators(lowered(graph, "subsample", inputs=(x,))) == {"convolution": 2, "relu": 1}


def test_what_is_no_image_stays_sliced():
    x = torch.randn(2, 4, 6, 8)
    graph = graph_of(lambda x: aten.softmax.int(_every(x, (3, 2)), -1), [x], "block")
    assert operators(lowered(graph, "subsample", inputs=(x,))) == {"slice": 1, "softmax": 1}


def test_a_part_of_an_image_stays_sliced():
    x = torch.randn(1, 3, 8, 8)
    graph = graph_of(lambda x, w: aten.slice.Tensor(_conv(x, w), 2, 1, 8, 2), [x], "block", w=torch.randn(4, 3, 1, 1))
    assert operators(lowered(graph, "subsample", inputs=(x,)))["slice"] == 1


def test_padding_that_is_more_than_channels_stays():
    x = torch.randn(1, 3, 8, 8)

    def function(x, w):
        return aten.pad.default(_every(_conv(x, w), (2, 2)), [1, 1, 0, 0, 2, 0], "constant", 0.0)

    graph = graph_of(function, [x], "block", w=torch.randn(4, 3, 1, 1))
    assert operators(lowered(graph, "subsample", inputs=(x,))) == {"convolution": 2, "pad": 1}
