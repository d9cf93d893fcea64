import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import check_float, check_integer

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(have=SIZES, want=SIZES)
@settings(max_examples=25)
def test_nearest_to_a_size(have, want):
    x = torch.randn(2, 3, *have)
    graph = graph_of(lambda x0: aten.upsample_nearest2d.vec(x0, list(want), None), [x])
    check_float(graph, [x], tolerance=0)
    check_integer(graph, [x])


@given(have=SIZES, factors=st.tuples(st.sampled_from([1.0, 1.5, 2.0, 2.3, 3.0, 0.7]), st.sampled_from([1.0, 2.0, 3.7, 0.5])))
@settings(max_examples=25)
def test_nearest_by_a_factor(have, factors):
    if any(int(h * f) == 0 for h, f in zip(have, factors, strict=True)):
        return
    x = torch.randn(1, 3, *have)
    graph = graph_of(lambda x0: aten.upsample_nearest2d.vec(x0, None, list(factors)), [x])
    check_float(graph, [x], tolerance=0)
    check_integer(graph, [x])


@given(have=SIZES, want=SIZES, corners=st.booleans())
@settings(max_examples=40)
def test_bilinear_to_a_size(have, want, corners):
    x = torch.randn(2, 3, *have)
    graph = graph_of(lambda x0: aten.upsample_bilinear2d.vec(x0, list(want), corners, None), [x])
    check_float(graph, [x])
    check_integer(graph, [x])


@pytest.mark.parametrize("factor", [2.0, 4.0, 0.5])
def test_bilinear_by_a_factor(factor):
    x = torch.randn(1, 3, 8, 6)
    check_float(graph_of(lambda x0: aten.upsample_bilinear2d.vec(x0, None, False, [factor, factor]), [x]), [x])


def test_bilinear_by_a_factor_that_leaves_a_rest_is_refused():
    x = torch.randn(1, 3, 7, 7)
    with pytest.raises(ConversionError, match="steps by") as refusal:
        check_float(graph_of(lambda x0: aten.upsample_bilinear2d.vec(x0, None, False, [1.5, 1.5]), [x], "up.sample"), [x])
    assert refusal.value.module == "up.sample" and "recompute_scale_factor" in str(refusal.value)
