import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.tensors import Grid, TensorSpec


@given(st.floats(2**-13, 8, width=32), st.integers(-128, 127), st.lists(st.floats(-500, 500, width=32), min_size=1, max_size=20))
def test_rounds_as_torch_does(scale, zero_point, values):
    grid, x = Grid("int8", (scale,), (zero_point,)), np.array(values, np.float32)
    expected = torch.fake_quantize_per_tensor_affine(torch.from_numpy(x), scale, zero_point, -128, 127).numpy()
    steps = np.abs(grid.to_reals(grid.to_integers(x)) - expected) / scale
    assert steps.max() < 1.01  # torch multiplies by the reciprocal in float32: a tie may fall on the other side
    assert (steps > 0.01).mean() <= 0.2 or len(values) < 10


@given(st.integers(-128, 127), st.floats(2**-13, 8, width=32))
def test_integers_come_back(zero_point, scale):
    grid, x = Grid("int8", (scale,), (zero_point,)), np.arange(-128, 128).astype(np.int8)
    assert np.array_equal(grid.to_integers(grid.to_reals(x)), x)


def test_channels_have_their_own_scale():
    grid = Grid("int16", (0.5, 0.25), (0, 1), axis=1)
    assert grid.to_integers(np.ones((1, 2, 1))).tolist() == [[[2], [5]]]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_saturates_and_bears_nan(dtype):
    got = Grid(dtype, (1.0,), (0,)).to_integers(np.array([-1e9, 1e9, np.nan, -np.inf, np.inf]))
    limits = np.iinfo(dtype)
    assert got.tolist() == [limits.min, limits.max, 0, limits.min, limits.max]


def test_json_round_trip():
    spec = TensorSpec("x", (1, 2), "int8", Grid("int8", (0.5,), (3,)))
    assert TensorSpec.from_json(spec.to_json()) == spec
