import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.profiling.statistics import bootstrap_medians, median_of_medians, paired_ratio, percentile, trend, variation


@pytest.mark.parametrize("n", [5, 6, 40, 41, 1000])
def test_drawn_medians_are_distributed_as_resampled_ones(n):
    rng = np.random.default_rng(n)
    samples = rng.lognormal(0, 0.5, n)
    resampled = np.median(rng.choice(samples, (20_000, n)), axis=1)
    drawn = bootstrap_medians(samples, 20_000, rng)
    for q in (0.05, 0.25, 0.5, 0.75, 0.95):
        spread = np.quantile(resampled, 0.975) - np.quantile(resampled, 0.025)
        tolerance = 0.04
        assert abs(np.quantile(drawn, q) - np.quantile(resampled, q)) <= tolerance * spread


def test_the_estimate_is_the_median_of_launch_medians():
    launches = [np.array([1.0, 2, 3]), np.array([10.0, 11, 90]), np.array([5.0, 5, 5])]
    assert median_of_medians(launches).value == 5


def test_samples_that_do_not_vary_are_known_exactly():
    interval = median_of_medians([np.full(50, 7.0)] * 5)
    assert (interval.value, interval.low, interval.high, interval.half_width) == (7, 7, 7, 0)


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    hits = 0
    for i in range(200):
        levels = np.exp(rng.normal(0, 0.03, 9))
        interval = median_of_medians([level * rng.lognormal(0, 0.05, 300) for level in levels], seed=i)
        hits += interval.low <= 1.0 <= interval.high
    assert hits >= 180  # 95 % nominal; a bootstrap over nine launches is a little short


def test_launches_that_disagree_widen_the_interval():
    rng = np.random.default_rng(0)
    quiet = [rng.normal(100, 1, 500) for _ in range(5)]
    uneven = [rng.normal(level, 1, 500) for level in (90, 95, 100, 105, 110)]
    assert median_of_medians(uneven).half_width > 10 * median_of_medians(quiet).half_width


@given(st.integers(1, 700))
@settings(max_examples=60)
def test_percentiles_need_their_samples(n):
    samples = np.arange(float(n))
    for p, floor in {90: 64, 95: 130, 99: 662}.items():
        assert (percentile(samples, p) is not None) == (n >= floor)


def test_percentile_values():
    assert percentile(np.arange(1001.0), 99) == pytest.approx(990)


def test_variation():
    assert variation(np.array([9.0, 10, 11])) == pytest.approx(0.1)
    assert variation(np.array([9.0])) == 0


class TestTrend:
    rng = np.random.default_rng(0)
    noise = rng.lognormal(0, 0.03, 2000)

    def test_a_steady_launch_has_none(self):
        flagged = sum(trend(np.random.default_rng(i).lognormal(0, 0.05, 1000)).is_drift for i in range(100))
        assert flagged <= 2

    def test_throttling_is_drift(self):
        slowing = self.noise * np.linspace(1, 1.1, 2000)
        assert trend(slowing).is_drift
        assert trend(slowing).change == pytest.approx(0.1, abs=0.03)

    def test_a_sudden_step_is_drift(self):
        assert trend(np.concatenate([self.noise[:1000], self.noise[1000:] * 1.3])).is_drift

    def test_a_small_slope_is_not(self):
        assert not trend(self.noise * np.linspace(1, 1.02, 2000)).is_drift

    def test_outliers_are_not(self):
        spiky = self.noise.copy()
        spiky[1900:1940] *= 20
        assert not trend(spiky).is_drift

    def test_few_samples_tell_nothing(self):
        assert not trend(np.linspace(1, 9, 30)).is_drift

    def test_equal_samples(self):
        assert not trend(np.ones(400)).is_drift


def test_the_ratio_is_recovered():
    rng = np.random.default_rng(0)
    a = [rng.lognormal(0, 0.02, 200) for _ in range(10)]
    b = [1.25 * rng.lognormal(0, 0.02, 200) for _ in range(10)]
    ratio = paired_ratio(a, b)
    assert ratio.low <= 1.25 <= ratio.high
    assert ratio.half_width < 0.01


def test_a_disturbed_launch_hardly_moves_the_ratio():
    rng = np.random.default_rng(0)
    a = [rng.lognormal(0, 0.02, 200) for _ in range(10)]
    b = [rng.lognormal(0, 0.02, 200) * (2 if i == 3 else 1) for i in range(10)]
    assert paired_ratio(a, b).value == pytest.approx(1, abs=0.01)


def test_the_same_samples_give_the_same_interval():
    launches = [np.random.default_rng(i).lognormal(0, 0.1, 100) for i in range(5)]
    assert median_of_medians(launches) == median_of_medians(launches)
    assert paired_ratio(launches, launches[::-1]) == paired_ratio(launches, launches[::-1])
