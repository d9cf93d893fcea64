import itertools

import numpy as np
import pytest

from edgekit import timing
from edgekit.timing import Launch, Pace, Timings, median_half_width, sample

FAST = Pace(min_samples=20, min_seconds=0.0, max_seconds=0.05, warmup_seconds=0.02)


class Clock:
    """A clock that only the timed call moves, so that the loop's decisions are exact."""

    def __init__(self, monkeypatch, durations_ns):
        self.now, self.durations = 0, itertools.chain(durations_ns, itertools.repeat(durations_ns[-1]))
        monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: self.now)
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now / 1e9)

    def call(self):
        self.now += next(self.durations)


def idle():
    return None


def test_warm_up_ends_when_the_times_are_stable(monkeypatch):
    falling = [int(2e7 * 0.9**i) for i in range(20)]
    clock = Clock(monkeypatch, [*falling, 2_000_000])
    timings = sample(clock.call, Pace(warmup_seconds=10), idle)
    assert timings.stable
    assert timings.warmup_ns[0] == falling[0] and timings.warmup_ns[-1] == 2_000_000
    assert set(timings.samples_ns) == {2_000_000}


def test_warm_up_gives_up(monkeypatch):
    clock = Clock(monkeypatch, [int(1e6 * 1.2**i) for i in range(40)])
    assert not sample(clock.call, Pace(warmup_seconds=0.5, max_seconds=0.5), idle).stable


def test_sampling_stops_when_the_median_is_known(monkeypatch):
    clock = Clock(monkeypatch, [1_000_000])
    timings = sample(clock.call, Pace(min_seconds=0.1, max_seconds=100), idle)
    assert timings.precise and 100 <= len(timings.samples_ns) <= 150


def test_sampling_stops_when_time_is_up(monkeypatch):
    rng = np.random.default_rng(0)
    clock = Clock(monkeypatch, [int(x) for x in rng.lognormal(np.log(1e6), 1.5, 20_000)])
    timings = sample(clock.call, Pace(max_seconds=0.5, warmup_seconds=0.1), idle)
    assert not timings.precise
    assert timings.samples_ns.sum() >= 0.5e9


def test_never_fewer_than_the_minimum_while_time_lasts(monkeypatch):
    clock = Clock(monkeypatch, [100_000])
    assert len(sample(clock.call, Pace(min_samples=5000, min_seconds=0, max_seconds=100), idle).samples_ns) >= 5000


def test_max_samples_bounds_the_record(monkeypatch):
    clock = Clock(monkeypatch, [1000])
    assert len(sample(clock.call, Pace(max_samples=700, min_seconds=100, max_seconds=100), idle).samples_ns) == 700


def test_overhead_is_that_of_an_idle_call(monkeypatch):
    clock = Clock(monkeypatch, [1_000_000])

    def costly_idle():
        clock.now += 300

    assert sample(clock.call, FAST, costly_idle).overhead_ns == 300


def test_the_half_width_is_the_bootstraps():
    rng = np.random.default_rng(1)
    samples = rng.lognormal(0, 0.2, 400)
    medians = np.median(rng.choice(samples, (4000, 400)), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    assert median_half_width(samples) == pytest.approx((high - low) / 2 / np.median(samples), rel=0.25)


def test_few_samples_know_nothing():
    assert median_half_width([1, 2, 3]) == float("inf")


def test_a_launch_survives_the_worker():
    timings = Timings(np.array([5]), np.array([1, 2, 3]), 200.0, 0.99, True, False)
    launch = Launch(timings, 1.5, None, 0.3, True, 10, 20, None)
    values, arrays = launch.to_worker()
    again = Launch.from_worker(values, arrays)
    assert again.to_worker()[0] == values
    assert again.timings.samples_ns.tolist() == [1, 2, 3]
