import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators

PAIRS = st.lists(st.integers(0, 2), min_size=2, max_size=2)


def convolution(x, *options, bias=True, seed=0, **shapes):
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(shapes["weight"], generator=draw)
    outs = weight.shape[1] * options[-1] if options[3] else weight.shape[0]
    constants = {"w": weight} | ({"b": torch.randn(outs, generator=draw)} if bias else {})
    return graph_of(lambda x0, w, b=None: aten.convolution.default(x0, w, b, *options), [x], "block", **constants)


@given(st.data())
@settings(max_examples=40)
def test_transposed_convolutions(data):
    step, kernel, dilation = data.draw(st.integers(1, 3)), data.draw(PAIRS), data.draw(PAIRS)
    kernel, dilation = [k + step for k in kernel], [max(d, 1) for d in dilation]
    padding, extra = data.draw(PAIRS), [min(e, step - 1) for e in data.draw(PAIRS)]
    x = torch.randn(2, 3, 4, 5)
    reach = [
        (n - 1) * step - 2 * p + d * (k - 1) + 1 + e for n, p, d, k, e in zip(x.shape[2:], padding, dilation, kernel, extra, strict=True)
    ]
    assume(min(reach) > 0)
    graph = convolution(x, [step] * 2, padding, dilation, True, extra, 1, bias=data.draw(st.booleans()), weight=(3, 2, *kernel))
    lowered(graph, "transposed_convolution", inputs=(x,), tolerance=1e-4)


@pytest.mark.parametrize("kernel, step, counts", [
    (2, 2, {"convolution": 1, "depth_to_space": 1}),
    (4, 2, {"convolution": 1, "depth_to_space": 1, "slice": 2}),
    (3, 1, {"convolution": 1}),
])  # fmt: skip
def test_what_they_become(kernel, step, counts):
    x = torch.randn(1, 3, 4, 4)
    padding = [0 if kernel == 2 else 1] * 2
    graph = convolution(x, [step] * 2, padding, [1, 1], True, [0, 0], 1, weight=(3, 5, kernel, kernel))
    assert operators(lowered(graph, "transposed_convolution", inputs=(x,))) == counts


def test_a_stride_far_beyond_the_kernel_stays():
    x = torch.randn(1, 3, 4, 4)
    graph = convolution(x, [3, 3], [0, 0], [1, 1], True, [0, 0], 1, weight=(3, 5, 1, 1))
    assert operators(lowered(graph, "transposed_convolution", inputs=(x,))) == {"convolution": 1}


def test_in_one_dimension():
    x = torch.randn(2, 3, 9)
    graph = convolution(x, [1], [1], [2], True, [0], 1, weight=(3, 5, 3))
    assert operators(lowered(graph, "transposed_convolution", inputs=(x,))) == {"convolution": 1}


@pytest.mark.parametrize("transposed, weight", [(False, (6, 2, 3, 3)), (True, (4, 3, 3, 3))])
def test_groups(transposed, weight):
    x = torch.randn(1, 4, 6, 6)
    graph = convolution(x, [2, 2], [1, 1], [1, 1], transposed, [0, 0], 2, weight=weight)
    assert operators(lowered(graph, "grouped_convolution", inputs=(x,))) == {"convolution": 2, "slice": 2, "cat": 1}


@pytest.mark.parametrize("filters, counts", [
    (4, {"convolution": 1}), (12, {"reshape": 2, "expand": 1, "convolution": 1}),
])  # fmt: skip
def test_depthwise_convolutions_have_one_filter_a_channel(filters, counts):
    x = torch.randn(1, 4, 6, 6)
    graph = convolution(x, [1, 1], [1, 1], [1, 1], False, [0, 0], 4, weight=(filters, 1, 3, 3))
    assert operators(lowered(graph, "grouped_convolution", inputs=(x,))) == counts
