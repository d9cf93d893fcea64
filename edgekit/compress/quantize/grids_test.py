import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.compress.quantize.grids import LIMITS, ends, grid, levels, rescaled, saturates_at, single

values = st.floats(-1e30, 1e30, allow_nan=False) | st.floats(-10, 10, allow_nan=False)
dtypes = st.sampled_from(["int8", "int16"])


def rounded(x, of):
    return torch.fake_quantize_per_tensor_affine(torch.as_tensor(x, dtype=torch.float32), of.scale[0], of.zero_point[0], *LIMITS[of.dtype])


@given(values, values, dtypes, st.booleans())
def test_a_grid_holds_zero_exactly_and_is_storable(a, b, dtype, symmetric):
    made = grid(min(a, b), max(a, b), dtype, symmetric=symmetric)
    scale, zero = made.scale[0], made.zero_point[0]
    first, last = LIMITS[dtype]
    assert scale > 0 and math.isfinite(scale) and np.float32(scale) == scale and np.isfinite(np.float32(1 / scale))
    assert first <= zero <= last and (zero == 0 or not symmetric)
    assert rounded(0.0, made) == 0


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6), dtypes, st.booleans())
def test_a_grid_spans_its_range_to_half_a_step(low, width, dtype, symmetric):
    made = grid(low, low + width, dtype, symmetric=symmetric)
    bottom, top = ends(made)
    slack = made.scale[0] * 0.501
    assert bottom <= min(low, 0) + slack and top >= max(low + width, 0) - slack
    reach = max(abs(low), abs(low + width)) * 2 if symmetric else max(low + width, 0) - min(low, 0)
    assert math.isclose(made.scale[0] * levels(dtype, symmetric), reach, rel_tol=1e-5)


@given(st.floats(-100, 100), st.floats(0.01, 100), dtypes, st.lists(st.floats(-300, 300, width=32), min_size=2, max_size=30))
def test_rounding_is_monotone_and_idempotent(low, width, dtype, points):
    made = grid(low, low + width, dtype, symmetric=False)
    once = rounded(sorted(points), made)
    assert bool((once.diff() >= 0).all())
    np.testing.assert_array_equal(rounded(once, made), once)


@given(st.floats(-100, 0), st.floats(0.01, 100), st.floats(1, 50))
def test_a_wider_grid_keeps_the_range(low, high, factor):
    old = grid(low, high, "int8", symmetric=False)
    new = rescaled(old, old.scale[0] * factor)
    assert ends(new)[0] <= ends(old)[0] + new.scale[0] and ends(new)[1] >= ends(old)[1] - new.scale[0]
    assert rounded(0.0, new) == 0


def test_a_grid_inside_an_activations_bounds_does_its_clamping():
    assert saturates_at(grid(0, 5.2, "int8", symmetric=False), 0, 6)
    assert saturates_at(grid(-1.3, 2.7, "int8", symmetric=False), -1.3, 2.7)
    assert not saturates_at(grid(-1, 6, "int8", symmetric=False), 0, 6)
    assert not saturates_at(grid(0, 7, "int8", symmetric=False), 0, 6)


def test_single_is_what_a_file_stores():
    assert single(0.1) == float(np.float32(0.1)) != 0.1
