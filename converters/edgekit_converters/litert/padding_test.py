import pytest
import torch

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters._windows import Window
from edgekit_converters.litert.padding import SAME, VALID, scheme
from edgekit_converters.litert.testing import check_float, check_integer

X = torch.randn(1, 3, 8, 9)
W = torch.randn(4, 3, 3, 3)


def window(size, kernel, stride, before, after, *, dilation=1):
    reach = (kernel - 1) * dilation + 1
    return Window(size, kernel, stride, dilation, before, (size + before + after - reach) // stride + 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((8, 3, 1, 0, 0), VALID),
        ((8, 3, 1, 1, 1), SAME),
        ((8, 3, 2, 0, 1), SAME),
        ((9, 3, 2, 1, 1), SAME),
        ((8, 1, 2, 0, 0), VALID),
        ((9, 5, 1, 2, 2), SAME),
        ((8, 3, 2, 1, 1), None),  # PyTorch's symmetric padding of an even size: SAME would pad behind only
        ((8, 3, 1, 2, 2), None),
        ((8, 3, 1, 0, 2), None),
    ],
)
def test_same_only_where_it_is_exactly_same(given, expected):
    assert scheme([window(*given)]) == expected


def convolved(pads, own, stride, *, mode="constant", value=None, before=lambda x: x):
    def function(x0, w):
        x0 = before(aten.pad.default(x0, pads, mode, value))
        return aten.convolution.default(x0, w, None, [stride] * 2, [own] * 2, [1, 1], False, [0, 0], 1)

    return graph_of(function, [X], w=W)


@pytest.mark.parametrize(
    ("pads", "own", "stride", "names"),
    [
        ([1, 1, 1, 1], 0, 1, ["CONV_2D"]),
        ([1, 1, 0, 1], 0, 2, ["CONV_2D"]),
        ([0, 0, 1, 1], 1, 1, ["PAD", "CONV_2D"]),
        ([1, 1, 1, 1], 0, 2, ["PAD", "CONV_2D"]),
        ([0, 0, 0, 0, 0, 0], 1, 1, ["CONV_2D"]),
    ],
)
def test_padding_before_a_convolution_is_folded_or_merged(pads, own, stride, names):
    graph = convolved(pads, own, stride)
    for emitted in (check_float(graph, [X]), check_integer(graph, [X])):
        assert [op.name for op in emitted.ops if op.name != "TRANSPOSE"] == names


@pytest.mark.parametrize(("mode", "value"), [("constant", 1.5), ("reflect", None)])
def test_padding_with_something_else_stays(mode, value):
    graph = convolved([1, 1, 1, 1], 0, 1, mode=mode, value=value)
    assert "CONV_2D" in [op.name for op in check_float(graph, [X]).ops]
    check_integer(graph, [X])


def test_padding_is_found_behind_run_time_rounding():
    graph = convolved([1, 1, 1, 1], 0, 1, before=torch.ops.edgekit.fake_quantize_dynamic.default)
    assert [op.name for op in check_float(graph, [X], tolerance=0.1).ops] == ["TRANSPOSE", "CONV_2D", "TRANSPOSE"]


def test_padding_of_a_channels_last_input_is_found_behind_its_permute():
    x = X.permute(0, 2, 3, 1).contiguous()

    def function(x0, w):
        x0 = aten.permute.default(aten.pad.default(x0, [0, 0, 1, 1, 1, 1]), [0, 3, 1, 2])
        return aten.permute.default(aten.convolution.default(x0, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1), [0, 2, 3, 1])

    assert [op.name for op in check_float(graph_of(function, [x], w=W), [x]).ops] == ["CONV_2D"]


def test_a_padded_value_with_other_users_is_written_once_for_them():
    def function(x0, w):
        y = aten.pad.default(x0, [1, 1, 1, 1])
        return aten.convolution.default(y, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1), aten.relu.default(y)

    names = [op.name for op in check_float(graph_of(function, [X], w=W), [X]).ops]
    assert sorted(names) == ["CONV_2D", "PAD", "RELU", "TRANSPOSE", "TRANSPOSE"]
