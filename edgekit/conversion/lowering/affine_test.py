import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators

C = 6
IMAGE = torch.randn(2, C, 5, 4)


def _channels(n=C):
    return torch.randn(n, 1, 1)


def _conv(x, w, padding=0, groups=1, transposed=False):
    return aten.convolution.default(x, w, None, [1, 1], [padding] * 2, [1, 1], transposed, [0, 0], groups)


def test_a_lone_batch_norm_becomes_one_depthwise_convolution():
    graph = graph_of(
        lambda x, s, t: aten.relu.default(aten.add.Tensor(aten.mul.Tensor(x, s), t)), [IMAGE], "block", s=_channels(), t=_channels()
    )
    assert operators(lowered(graph, "affine", inputs=(IMAGE,))) == {"convolution": 1, "relu": 1}


def test_every_order_and_side_of_constants():
    def normalize(x, a, b, c, d):
        y = aten.div.Tensor(aten.sub.Tensor(x, a), b)
        return aten.relu.default(aten.sub.Tensor(c, aten.mul.Tensor(d, y)))

    constants = {"a": _channels(), "b": _channels().abs() + 1, "c": _channels(), "d": torch.tensor(0.5)}
    graph = graph_of(normalize, [IMAGE], "block", **constants)
    assert operators(lowered(graph, "affine", inputs=(IMAGE,))) == {"convolution": 1, "relu": 1}


@pytest.mark.parametrize("transposed", [False, True])
def test_the_convolution_before_it_absorbs_it(transposed):
    weight = torch.randn((3, C, 2, 2) if transposed else (C, 3, 2, 2))
    x = torch.randn(1, 3, 5, 5)
    graph = graph_of(
        lambda x, w, s, t: aten.add.Tensor(aten.mul.Tensor(_conv(x, w, transposed=transposed), s), t),
        [x],
        "block",
        w=weight,
        s=_channels(),
        t=_channels(),
    )
    assert operators(lowered(graph, "affine", inputs=(x,))) == {"convolution": 1}


def test_a_layer_scale_reaches_its_linear_through_a_permute():
    x = torch.randn(1, 5, 4, 3)

    def scaled(x, w, s):
        return aten.relu.default(aten.mul.Tensor(aten.permute.default(aten.linear.default(x, w), [0, 3, 1, 2]), s))

    graph = graph_of(scaled, [x], "block", w=torch.randn(C, 3), s=_channels())
    assert operators(lowered(graph, "affine", inputs=(x,))) == {"linear": 1, "permute": 1, "relu": 1}


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_an_unpadded_convolution_after_it_absorbs_it(groups):
    weight = torch.randn(12, C // groups, 3, 3)
    constants = {"w": weight, "s": _channels(), "t": _channels()}
    graph = graph_of(lambda x, w, s, t: _conv(aten.add.Tensor(aten.mul.Tensor(x, s), t), w, groups=groups), [IMAGE], "block", **constants)
    assert operators(lowered(graph, "affine", inputs=(IMAGE,))) == {"convolution": 1}


def test_a_shift_does_not_pass_zero_padding():
    constants = {"w": torch.randn(4, C, 3, 3), "s": _channels(), "t": _channels()}
    graph = graph_of(lambda x, w, s, t: _conv(aten.add.Tensor(aten.mul.Tensor(x, s), t), w, padding=1), [IMAGE], "block", **constants)
    assert operators(lowered(graph, "affine", inputs=(IMAGE,))) == {"convolution": 2}


def test_a_scale_alone_passes_zero_padding():
    constants = {"w": torch.randn(4, C, 3, 3), "s": _channels()}
    graph = graph_of(lambda x, w, s: _conv(aten.mul.Tensor(x, s), w, padding=1), [IMAGE], "block", **constants)
    assert operators(lowered(graph, "affine", inputs=(IMAGE,))) == {"convolution": 1}


def test_an_input_normalization_before_a_padded_convolution_is_one_convolution():
    x = torch.rand(1, 3, 6, 6) * 255
    graph = graph_of(
        lambda x, a, b, w: _conv(aten.sub.Tensor(aten.mul.Tensor(x, a), b), w, padding=1),
        [x],
        "block",
        a=torch.tensor(1 / 127.5),
        b=torch.tensor(1.0),
        w=torch.randn(4, 3, 3, 3),
    )
    assert operators(lowered(graph, "affine", inputs=(x,))) == {"convolution": 2}


def test_what_others_read_stays():
    def branching(x, w, s):
        y = _conv(x, w)
        return aten.mul.Tensor(y, s), aten.relu.default(y)

    x = torch.randn(1, 3, 5, 5)
    graph = graph_of(branching, [x], "block", w=torch.randn(C, 3, 1, 1), s=_channels())
    assert operators(lowered(graph, "affine", inputs=(x,))) == {"convolution": 2, "relu": 1}


def test_shared_weights_are_not_torn_apart():
    def tied(x, w, s):
        return aten.linear.default(aten.mul.Tensor(x, s), w), aten.linear.default(x, w)

    x = torch.randn(2, 4)
    graph = graph_of(tied, [x], "block", w=torch.randn(3, 4), s=torch.randn(4))
    assert operators(lowered(graph, "affine", inputs=(x,))) == {"mul": 1, "linear": 2}


def test_numbers_and_growing_operands_stay():
    x, y = torch.randn(2, 3), torch.randn(3, 1)
    graph = graph_of(
        lambda x, y, s, r: (aten.mul.Tensor(x, s), aten.add.Tensor(y, r)), [x, y], "block", s=torch.tensor(2.0), r=torch.randn(4)
    )
    assert operators(lowered(graph, "affine", inputs=(x, y))) == {"mul": 1, "add": 1}


def test_a_channels_last_normalization_reaches_convolutions_past_permutes_and_pads():
    x = torch.rand(1, 6, 5, 3)

    def both(x, s, w, v):
        y = aten.permute.default(aten.mul.Tensor(x, s), [0, 3, 1, 2])
        return _conv(aten.pad.default(y, [1, 1, 1, 1], "constant", 0.0), w), _conv(y, v)

    graph = graph_of(both, [x], "block", s=torch.randn(3), w=torch.randn(4, 3, 3, 3), v=torch.randn(2, 3, 1, 1))
    assert operators(lowered(graph, "affine", inputs=(x,))) == {"permute": 1, "pad": 1, "convolution": 2}


def test_a_channels_last_shift_before_padding_is_one_convolution():
    x = torch.rand(1, 6, 5, 3)

    def normalized(x, s, t, w):
        y = aten.permute.default(aten.add.Tensor(aten.mul.Tensor(x, s), t), [0, 3, 1, 2])
        return _conv(y, w, padding=1)

    graph = graph_of(normalized, [x], "block", s=torch.randn(3), t=torch.randn(3), w=torch.randn(4, 3, 3, 3))
    counts = operators(lowered(graph, "affine", inputs=(x,)))
    assert counts["convolution"] == 2 and not {"mul", "add"} & set(counts)


def test_nothing_is_left_of_a_scale_of_one():
    graph = graph_of(
        lambda x, s, t: aten.relu.default(aten.add.Tensor(aten.mul.Tensor(x, s), t)),
        [IMAGE],
        "block",
        s=torch.ones(C, 1, 1),
        t=torch.zeros(1),
    )
    assert operators(lowered(graph, "affine", inputs=(IMAGE,))) == {"relu": 1}


def test_a_number_scales_only_the_rows_it_meets():
    x = torch.randn(2, 5, 6)

    def project(x, w, b, n):
        y = aten.linear.default(x, w, b)
        parts = [aten.reshape.default(aten.slice.Tensor(y, 2, i, i + 8, 1), [2, 5, 2, 4]) for i in (0, 8)]
        return aten.permute.default(aten.mul.Tensor(parts[0], n), [0, 2, 1, 3]), parts[1]

    graph = graph_of(project, [x], "block", w=torch.randn(16, 6), b=torch.randn(16), n=torch.tensor(0.5))
    assert "mul" not in operators(lowered(graph, "affine", inputs=(x,)))
