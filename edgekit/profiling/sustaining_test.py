import numpy as np
import pytest

from edgekit.profiling.sustaining import Sustained, endless, sustained, throttling, windows
from edgekit.testing.scripted_runtime import launch
from edgekit.timing import Pace


def curve(shape, seed, count=60, noise=0.01):
    return shape * np.random.default_rng(seed).lognormal(0, noise, count)


def step(at, size, count=60):
    return np.where(np.arange(count) < at, 1.0, 1.0 + size)


def ramp(start, stop, size, count=60):
    return 1.0 + size * np.clip((np.arange(count) - start) / (stop - start), 0, 1)


@pytest.mark.parametrize("shape, begun", [(step(20, 0.10), 20), (step(45, 0.30), 45), (step(8, 0.15), 8), (ramp(15, 40, 0.40), 15)])
def test_injected_throttling_is_found_where_it_began(shape, begun):
    found = [throttling(curve(shape, seed)) for seed in range(100)]
    assert sum(f is not None for f in found) >= 95
    assert np.median([abs(f - begun) for f in found if f is not None]) <= 2


@pytest.mark.parametrize("shape", [np.ones(60), step(30, 0.02), step(30, -0.2), np.where(np.arange(60) == 30, 2.0, 1.0)])
def test_no_throttling_where_there_is_none(shape):
    assert sum(throttling(curve(shape, seed)) is not None for seed in range(100)) <= 5


def test_a_device_that_recovers_is_not_throttled_for_good():
    hump = np.where((np.arange(60) > 10) & (np.arange(60) < 20), 1.3, 1.0)
    assert throttling(curve(hump, 0)) is None


def long_launch(shape):
    """Ten seconds of 1-ms runs whose clock and speed follow `shape`, with a reading every quarter second."""
    samples = np.repeat(shape, 167) * 1e6 * np.random.default_rng(0).lognormal(0, 0.02, 167 * len(shape))
    seconds = np.concatenate([[0.0], np.cumsum(samples)[249::250] / 1e9, [samples.sum() / 1e9]])
    runs = np.array([0, *range(250, len(samples) + 1, 250), len(samples)])
    clock = 2000 / np.interp(runs, np.arange(len(samples)), np.repeat(shape, 167))
    readings = np.stack([runs, seconds, clock, np.full(len(runs), np.nan)], axis=1)
    return launch(samples, readings=readings)


def test_curve_onset_and_steady_state():
    found = sustained(long_launch(step(24, 0.25)).timings, 10.0)
    assert found.throttled_at_s == pytest.approx(24 * 0.167, abs=0.4)
    assert found.steady_ms == pytest.approx(1.25, rel=0.02)
    assert found.peak_ms == pytest.approx(1.0, rel=0.02)
    assert found.change == pytest.approx(0.25, abs=0.02)
    assert found.curve[0].clock_mhz > 1900 and found.curve[-1].clock_mhz < 1700 and found.curve[0].temperature_c is None
    assert sum(w.runs for w in found.curve) == 167 * 60
    assert all(w.low_ms <= w.median_ms <= w.high_ms for w in found.curve)
    assert Sustained.from_json(found.to_json()) == found


def test_runs_without_readings_follow_each_other():
    found = windows(launch(np.full(1000, 1e6)).timings)
    assert found[0].at_s == pytest.approx(1.0 / len(found) / 2) and found[-1].clock_mhz is None


def test_its_pace_never_stops_early():
    assert endless(30.0) == Pace(min_seconds=30.0, max_seconds=30.0, max_samples=20_000_000, precision=0.0, warmup_seconds=0.0)
