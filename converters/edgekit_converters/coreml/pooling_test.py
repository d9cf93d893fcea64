import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import check, normal, write


@st.composite
def pools(draw):
    pair = lambda low, high: [draw(st.integers(low, high)) for _ in range(2)]  # noqa: E731
    kernel, stride, sizes = pair(1, 4), pair(1, 3), pair(4, 8)
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    assume(all(n + 2 * p >= k for n, p, k in zip(sizes, padding, kernel, strict=True)))
    shape = [2, 3, *sizes] if draw(st.booleans()) else [3, *sizes]
    return normal(*shape), kernel, stride, padding, draw(st.booleans())


@given(case=pools())
@settings(max_examples=25)
def test_max_pool(case):
    x, kernel, stride, padding, ceil = case
    check(graph_of(lambda x0: aten.max_pool2d.default(x0, kernel, stride, padding, [1, 1], ceil), [x]), x)


@given(case=pools(), counted=st.booleans(), divisor=st.sampled_from([None, None, 5]))
@settings(max_examples=40)
def test_avg_pool(case, counted, divisor):
    x, kernel, stride, padding, ceil = case
    check(graph_of(lambda x0: aten.avg_pool2d.default(x0, kernel, stride, padding, ceil, counted, divisor), [x]), x)


def test_dilation_is_refused():
    with pytest.raises(ConversionError, match="no dilation"):
        write(graph_of(lambda x: aten.max_pool2d.default(x, [2, 2], [1, 1], [0, 0], [2, 2]), [normal(1, 1, 5, 5)]))
