import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import check, normal, write


@st.composite
def convolutions(draw, transposed=False):
    dims = draw(st.sampled_from([1, 2, 2, 3]))
    groups, inner, outer = draw(st.sampled_from([1, 1, 2])), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    each = lambda low, high: [draw(st.integers(low, high)) for _ in range(dims)]  # noqa: E731
    kernel, stride, dilation, padding, sizes = each(1, 3), each(1, 2), each(1, 2), each(0, 2), each(3, 6)
    extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)] if transposed else [0] * dims
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if transposed:
        assume(all((n - 1) * s - 2 * p + r + e > 0 for n, s, p, r, e in zip(sizes, stride, padding, reach, extra, strict=True)))
        shape = [groups * inner, outer, *kernel]
    else:
        assume(all(n + 2 * p >= r for n, p, r in zip(sizes, padding, reach, strict=True)))
        shape = [groups * outer, inner, *kernel]
    bias = normal(groups * outer, seed=2) if draw(st.booleans()) else None
    x = normal(draw(st.integers(1, 2)), groups * inner, *sizes)
    return x, normal(*shape, seed=1), bias, (stride, padding, dilation, transposed, extra, groups)


def graph(x, w, bias, arguments):
    return graph_of(lambda x0, w, b=None: aten.convolution.default(x0, w, b, *arguments), [x], w=w, **({} if bias is None else {"b": bias}))


@given(case=convolutions())
@settings(max_examples=25)
def test_convolution(case):
    check(graph(*case), case[0], ios="16")


@given(case=convolutions(transposed=True))
@settings(max_examples=25)
def test_transposed_convolution(case):
    check(graph(*case), case[0])


def padded_convolution(x, w, b):
    return aten.convolution.default(aten.pad.default(x, [0, 1, 2, 3]), w, b, [2, 2], [1, 0], [1, 1], False, [0, 0], 1)


def test_zeros_around_the_image_become_padding():
    x = normal(1, 3, 7, 8)
    written = check(graph_of(padded_convolution, [x], w=normal(4, 3, 3, 3), b=normal(4)), x, compute="float16")
    assert written.kinds == ["cast", "conv", "cast"]


def test_zeros_that_others_read_too_stay():
    x = normal(1, 3, 7, 8)

    def function(x0, w, b):
        padded = aten.pad.default(x0, [0, 1, 2, 3])
        return aten.convolution.default(padded, w, b, [2, 2], [0, 0], [1, 1], False, [0, 0], 1), padded

    assert "pad" in check(graph_of(function, [x], w=normal(4, 3, 3, 3), b=normal(4)), x).kinds


def test_a_weight_that_is_computed_is_refused_by_its_module():
    x = normal(1, 2, 5)
    made = graph_of(
        lambda x0, w: aten.convolution.default(x0, aten.mul.Tensor(w, w), None, [1], [0], [1], False, [0], 1),
        [x],
        "body.conv",
        w=normal(2, 2, 3),
    )
    with pytest.raises(ConversionError, match="weight is not a constant") as error:
        write(made)
    assert error.value.module == "body.conv" and error.value.op == "aten.convolution"


def test_names_tell_the_module():
    x = torch.zeros(1, 2, 5)
    call = lambda x0, w: aten.convolution.default(x0, w, None, [1], [0], [1], False, [0], 1)  # noqa: E731
    (op,) = write(graph_of(call, [x], "layer3.2.conv1", w=normal(2, 2, 3))).emitted.ops
    assert (op.name, op.module, op.dtype, op.shapes) == ("conv", "layer3.2.conv1", "float32", ((1, 2, 5),))
