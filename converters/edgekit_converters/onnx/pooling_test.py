import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.onnx.testing import check_float, write


@st.composite
def pools(draw):
    kernel = [draw(st.integers(1, 4)) for _ in range(2)]
    stride = [draw(st.integers(1, 3)) for _ in range(2)]
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    x = torch.randn(draw(st.integers(1, 2)), 2, draw(st.integers(5, 9)), draw(st.integers(5, 9)))
    return x, kernel, stride, padding, draw(st.booleans())


@given(case=pools(), dilation=st.sampled_from([1, 2]))
@settings(max_examples=30)
def test_max_pool(case, dilation):
    x, kernel, stride, padding, ceil = case
    assume(all(n + 2 * p >= (k - 1) * dilation + 1 for n, p, k in zip(x.shape[2:], padding, kernel, strict=True)))
    check_float(graph_of(lambda x: aten.max_pool2d.default(x, kernel, stride, padding, dilation, ceil), [x]), [x], tolerance=0)


@given(case=pools(), counted=st.booleans())
@settings(max_examples=40)
def test_avg_pool(case, counted):
    x, kernel, stride, padding, ceil = case
    check_float(graph_of(lambda x: aten.avg_pool2d.default(x, kernel, stride, padding, ceil, counted), [x]), [x])


def test_padding_no_maximum_notices_is_the_pools_own():
    x = torch.randn(1, 2, 8, 8)

    def function(x):
        return aten.max_pool2d.default(aten.pad.default(x, [0, 1, 0, 1], "constant", -math.inf), [3, 3], [2, 2])

    assert [op.name for op in check_float(graph_of(function, [x]), [x]).ops] == ["MaxPool"]


def test_a_fixed_divisor():
    x = torch.randn(1, 2, 8, 8)
    check_float(graph_of(lambda x: aten.avg_pool2d.default(x, [3, 3], [2, 2], [0, 0], False, True, 5), [x]), [x])
    with pytest.raises(ConversionError, match="divisor"):
        write(graph_of(lambda x: aten.avg_pool2d.default(x, [3, 3], [2, 2], [1, 1], False, False, 5), [x]))


def test_one_image_without_a_batch():
    x = torch.randn(3, 8, 8)
    check_float(graph_of(lambda x: aten.max_pool2d.default(x, [2, 2]), [x]), [x])
