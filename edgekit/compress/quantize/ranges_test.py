import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.compress.quantize.histogram import SAMPLED, Histogram
from edgekit.compress.quantize.observers import CALIBRATIONS, choose_range, observer
from edgekit.compress.quantize.ranges import entropy_range, mse_range, percentile_range


def normal(count=20000, seed=0, scale=1.0):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) * scale


def seen(*tensors):
    histogram = Histogram()
    for tensor in tensors:
        histogram.add(tensor)
    return histogram


@given(st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), min_size=1, max_size=5))
def test_a_histogram_does_not_depend_on_its_batches(batches):
    parts = [torch.tensor(b) for b in batches]
    together, apart, merged = seen(torch.cat(parts)), seen(*parts), Histogram()
    for part in parts:
        merged.merge(seen(part))
    for other in (apart, merged):
        assert (other.low, other.high, other.reach, other.seen) == (together.low, together.high, together.reach, together.seen)
        # merging bins is exact but for values that sit on the edge of one
        assert other.counts.sum() == together.counts.sum()
        np.testing.assert_allclose(other.counts.cumsum(0), together.counts.cumsum(0), atol=len(torch.cat(parts)))


def test_bins_add_up_to_where_values_are():
    histogram = seen(torch.tensor([0.1, -3.0, 3.9, 1e-3]))
    found = histogram.centers[histogram.counts > 0]
    np.testing.assert_allclose(found, [-3.0, 1e-3, 0.1, 3.9], atol=8 / 8192)


def test_nan_infinity_and_their_stand_ins_are_left_out_and_told():
    histogram = seen(torch.tensor([1.0, -2.0, float("nan"), float("inf"), -3.4e38]))
    assert histogram.range == (-2, 1) and histogram.dropped == 2 and histogram.masked
    nothing = seen(torch.full((3,), float("nan")), torch.zeros(0))
    assert nothing.range == (0, 0) and nothing.seen == 0 and not nothing.masked


def test_a_long_tensor_keeps_its_extremes():
    values = torch.zeros(SAMPLED * 2 + 1)
    values[SAMPLED + 1], values[7] = 5.0, -3.0
    histogram = seen(values)
    assert histogram.range == (-3, 5) and 0 < histogram.counts.sum() <= SAMPLED


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("symmetric", [False, True])
@settings(max_examples=20)
@given(st.floats(-5, 5), st.floats(0.01, 100), st.integers(0, 3))
def test_every_range_lies_within_what_was_seen(calibration, symmetric, shift, scale, seed):
    values = normal(500, seed, scale) + shift
    watcher = observer(calibration, 0.9)
    watcher.add(values.reshape(10, 50))
    low, high = choose_range([watcher], calibration, 99.9, 254 if symmetric else 255, symmetric)
    reach = float(values.abs().max()) * 1.0001
    assert -reach <= low <= high <= reach
    if not symmetric:
        assert low >= min(float(values.min()), 0) * 1.0001 and high <= max(float(values.max()), 0) * 1.0001
    elif calibration in ("mse", "entropy"):
        assert low == -high


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_no_calibrator_depends_on_the_batch_size(calibration):
    rows = normal(4096).reshape(64, 64)
    ranges = set()
    for size in (1, 7, 64):
        watcher = observer(calibration, 0.9)
        for start in range(0, 64, size):
            watcher.add(rows[start : start + size])
        ranges.add(tuple(round(v, 5) for v in choose_range([watcher], calibration, 99.0, 255, False)))
    assert len(ranges) == 1


def squared_error(values, low, high):
    scale = (high - low) / 255
    zero = round(-128 - low / scale)
    return float((torch.fake_quantize_per_tensor_affine(values, scale, zero, -128, 127) - values).square().sum())


@pytest.mark.parametrize("make", [normal, lambda: normal().relu(), lambda: normal() ** 3, torch.rand(9999).clone, lambda: normal().exp()])
def test_mse_finds_nearly_the_best_of_all_ranges(make):
    values = make()
    low, high = mse_range(seen(values), 255, symmetric=False)
    fractions = np.linspace(0.05, 1, 39)
    lows = {min(float(values.min()), 0) * f for f in fractions}
    best = min(squared_error(values, a, float(values.max()) * b) for a, b in itertools.product(lows, fractions))
    assert squared_error(values, low, high) <= best * 1.03


def test_mse_clips_outliers_and_keeps_what_has_none():
    outlier = torch.cat([normal(), torch.tensor([400.0])])
    assert mse_range(seen(outlier), 255, symmetric=False)[1] < 400
    assert mse_range(seen(torch.rand(9999)), 255, symmetric=False)[1] > 0.98


def test_sixteen_bits_clip_next_to_nothing():
    values = normal()
    low, high = mse_range(seen(values), 65535, symmetric=True)
    assert high > 0.95 * float(values.abs().max()) and low == -high


def test_entropy_clips_an_outlier():
    low, high = entropy_range(seen(torch.cat([normal(100000), torch.tensor([60.0])])), 255, symmetric=False)
    assert high < 59 and low < -1


@given(st.floats(51, 100))
def test_percentiles_leave_their_share_outside_and_no_bin_less(percentile):
    values, histogram = normal(5000), seen(normal(5000))
    low, high = percentile_range(histogram, percentile)
    share, width = (1 - percentile / 100) * len(values), 2.01 * histogram.reach / len(histogram.counts)
    assert int((values < low).sum()) <= share + 1e-6 and int((values > high).sum()) <= share + 1e-6
    assert int((values < low + width).sum()) > share - 1e-6 and int((values > high - width).sum()) >= share - 1e-6
