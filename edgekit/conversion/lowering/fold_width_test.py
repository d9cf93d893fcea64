import pytest
import torch

from edgekit.graph import aten, shape_of
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators


def weights(graph):
    return [shape_of(n.args[1]) for n in graph.nodes if n.target is aten.convolution.default]


def folded(size, kernel, stride, *, channels=1, padding=None, pads=None):
    spatial = len(kernel)
    x, w, b = torch.randn(2, channels, *size), torch.randn(8, channels, *kernel), torch.randn(8)

    def function(x, w, b):
        x = x if pads is None else aten.pad.default(x, pads, "constant", 0.0)
        return aten.convolution.default(x, w, b, stride, padding or [0] * spatial, [1] * spatial, False, [0] * spatial, 1)

    return lowered(graph_of(function, [x], "block", w=w, b=b), "fold_width", inputs=(x,))


@pytest.mark.parametrize("pads", [None, [1, 1, 4, 5], [0, 1]])
@pytest.mark.parametrize("padding", [None, [2, 1]])
@pytest.mark.parametrize("width", [4, 3])
def test_a_spectrogram(pads, padding, width):
    result = folded((49, 10), (10, width), [2, 2], pads=pads, padding=padding)
    assert weights(result) in ([(8, 2, 10, 2)], [(8, 1, 10, width)])
    if pads == [1, 1, 4, 5] and width == 4 and padding is None:
        assert operators(result) == {"pad": 1, "reshape": 2, "permute": 1, "convolution": 1}
        assert weights(result) == [(8, 2, 10, 2)]


def test_sound():
    assert weights(folded((4000,), (80,), [16])) == [(8, 4, 20)]


def test_patches():
    assert weights(folded((32, 32), (16, 16), [16, 16], channels=3))[0][1] > 3


@pytest.mark.parametrize(
    ("channels", "kernel", "stride"), [(3, (3, 3), [2, 2]), (1, (3, 3), [1, 1]), (4, (3, 3), [2, 2]), (3, (7, 7), [2, 2])]
)
def test_what_would_not_be_less_work_stays(channels, kernel, stride):
    result = folded((16, 16), kernel, stride, channels=channels)
    assert weights(result) == [(8, channels, *kernel)]
    assert operators(result) == {"convolution": 1}
