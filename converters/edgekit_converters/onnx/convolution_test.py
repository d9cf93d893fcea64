import numpy as np
import onnx
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.onnx.testing import check_float, check_integer, names


@st.composite
def convolutions(draw, transposed=False):
    dims = draw(st.sampled_from([1, 2, 2, 3]))
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    inner, outer = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    each = lambda low, high: [draw(st.integers(low, high)) for _ in range(dims)]  # noqa: E731
    kernel, stride, dilation, padding, sizes = each(1, 4), each(1, 3), each(1, 2), each(0, 2), each(4, 8)
    extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)] if transposed else [0] * dims
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if transposed:
        assume(all((n - 1) * s - 2 * p + r + e > 0 for n, s, p, r, e in zip(sizes, stride, padding, reach, extra, strict=True)))
        assume(all(e < s for e, s in zip(extra, stride, strict=True)))  # what ONNX' operator is defined for
        weight = [groups * inner, outer, *kernel]
    else:
        assume(all(n + 2 * p >= r for n, p, r in zip(sizes, padding, reach, strict=True)))
        weight = [groups * outer, inner, *kernel]
    x = torch.randn(draw(st.integers(1, 2)), inner * groups, *sizes)
    w = torch.randn(weight)
    channels = groups * outer
    bias = torch.randn(channels) if draw(st.booleans()) else None
    return x, w, bias, (stride, padding, dilation, transposed, extra, groups)


def graph(x, w, bias, arguments):
    def function(x0, w, b=None):
        return aten.convolution.default(x0, w, b, *arguments)

    return graph_of(function, [x], "net.conv", w=w, **({} if bias is None else {"b": bias}))


@given(case=convolutions())
@settings(max_examples=40)
def test_convolution(case):
    check_float(graph(*case), [case[0]])


@given(case=convolutions(transposed=True))
@settings(max_examples=40)
def test_transposed_convolution(case):
    check_float(graph(*case), [case[0]], tolerance=1e-4)


@given(case=convolutions(), amounts=st.lists(st.integers(0, 2), min_size=4, max_size=4))
@settings(max_examples=15)
def test_zero_padding_before_it_is_its_own(case, amounts):
    x, w, _, arguments = case
    assume(w.dim() == 4)
    padded = graph_of(lambda x, w: aten.convolution.default(aten.pad.default(x, amounts, "constant", 0.0), w, None, *arguments), [x], w=w)
    assert [op.name for op in check_float(padded, [x]).ops] == ["Conv"]


def weight_scales(model):
    """Weight and axis of its scales, for each DequantizeLinear of a constant."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    nodes = [n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    return [(constants[n.input[0]], constants[n.input[1]], {a.name: a.i for a in n.attribute}.get("axis")) for n in nodes]


def test_int8_weights_have_a_scale_for_each_output_channel_and_are_stored_once():
    x, w = torch.randn(1, 3, 8, 8), torch.randn(5, 3, 3, 3)
    _, model = check_integer(graph(x, w, torch.randn(5), ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)))
    ((stored, scales, axis),) = weight_scales(model)
    assert (stored.dtype, stored.shape, axis, scales.shape) == (np.int8, (5, 3, 3, 3), 0, (5,))
    assert names(model) == ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Conv"]
    bias = model.graph.node[-1].input[2]
    assert next(t for t in model.graph.initializer if t.name == bias).data_type == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_int8_weights_have_a_scale_for_each_input_channel(groups):
    x, w = torch.randn(1, 4, 5, 6), torch.randn(4, 3, 3, 3)
    _, model = check_integer(graph(x, w, torch.randn(3 * groups), ([2, 2], [1, 1], [1, 1], True, [1, 0], groups)))
    ((_, scales, axis),) = weight_scales(model)
    assert (axis, scales.shape) == (0, (4,))


def test_nodes_know_the_users_module():
    x, w = torch.randn(1, 3, 8, 8), torch.randn(5, 3, 3, 3)
    emitted, model = check_integer(graph(x, w, None, ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)))
    assert {op.module for op in emitted.ops} == {"net.conv"}
    node = model.graph.node[-1]
    assert node.name == "net.conv/Conv"
    assert {p.key: p.value for p in node.metadata_props} == {"edgekit.module": "net.conv"}
