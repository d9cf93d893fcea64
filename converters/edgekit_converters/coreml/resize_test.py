import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import check, normal, write

X = normal(1, 2, 5, 6)
SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(size=SIZES)
@settings(max_examples=20)
def test_nearest(size):
    check(graph_of(lambda x: aten.upsample_nearest2d.vec(x, list(size), None), [X]), X)


@pytest.mark.parametrize("factors", [(2.0, 2.0), (3.0, 1.0), (1.5, 0.7), (2.3, 2.0)])
def test_nearest_by_factors(factors):
    written = check(graph_of(lambda x: aten.upsample_nearest2d.vec(x, None, list(factors)), [X]), X)
    assert ("gather" in written.kinds) == (factors not in ((2.0, 2.0), (3.0, 1.0)))


@given(size=SIZES, corners=st.booleans())
@settings(max_examples=30)
def test_bilinear(size, corners):
    check(graph_of(lambda x: aten.upsample_bilinear2d.vec(x, list(size), corners, None), [X]), X)


def test_a_step_that_is_not_a_ratio_of_sizes_is_refused():
    with pytest.raises(ConversionError, match="steps by"):
        write(graph_of(lambda x: aten.upsample_bilinear2d.vec(x, None, False, [1.3, 1.3]), [X]))
