from dataclasses import replace

import numpy as np
import pytest

from edgekit.devices.host import device_state, machine
from edgekit.devices.machine import DeviceState
from edgekit.profiling.profiles import latency
from edgekit.profiling.state import Load
from edgekit.profiling.validity import Demands, Validity, judge
from edgekit.testing.scripted_runtime import launch, noisy
from edgekit.timing import OpTime

CALM = DeviceState(2000.0, 3000.0, "performance", 40.0, 0.1, 10**9, False, 90.0, 0.0, 0.0, 0.0, 0.0)
STEADY = [launch(noisy(1e5, seed)) for seed in range(5)]


def codes(launches=STEADY, *, asked=None, before=CALM, after=None, threads=1, cores=4, ops=()):
    after = after or replace(CALM, at=10.0)
    found = judge(
        launches, asked or len(launches), latency(launches).interval, before=before, after=after, threads=threads, cores=cores, ops=ops
    )
    return {f.code for f in found.reasons}, {f.code for f in found.warnings}


def test_a_calm_measurement_is_beyond_doubt():
    assert codes() == (set(), set())


@pytest.mark.parametrize(
    "launches, reason",
    [
        ([launch(noisy(level, 0)) for level in (1e5, 1.5e5, 1e5, 1.6e5, 0.9e5)], "launches-disagree"),
        ([launch(noisy(1e5 * (1 + 0.04 * i), i)) for i in range(5)], "throttling"),
        ([launch(np.sort(noisy(1e5, i, spread=0.1))) for i in range(5)], "drift"),
        ([launch(noisy(1e5, i), cpu_share=0.7) for i in range(5)], "starved"),
        ([launch([100, 0, 100] * 50)] * 3, "clock-jump"),
        ([launch(noisy(level, 0)) for level in (1e5, 2e5, 1e5, 2e5)], "imprecise"),
    ],
)
def test_samples_can_disprove_themselves(launches, reason):
    assert reason in codes(launches)[0]


def test_one_odd_launch_is_no_drift():
    assert codes([*STEADY[:4], launch(np.sort(noisy(1e5, 9, spread=0.1)))])[0] == set()


def test_interruption():
    assert codes(asked=7)[0] == {"partial"}


@pytest.mark.parametrize(
    "after, expected",
    [
        ({"clock_mhz": 1500.0}, {"clock"}),
        ({"clock_mhz": 2900.0}, set()),
        ({"clock_mhz": None}, set()),
        ({"temperature_c": 96.0}, {"hot"}),
        ({"busy_seconds": 38.0}, {"background-load"}),
        ({"busy_seconds": 38.0, "own_seconds": 35.0}, set()),
        ({"stolen_seconds": 2.0}, {"stolen"}),
    ],
)
def test_the_machine_can_disprove_it(after, expected):
    assert codes(after=replace(CALM, at=10.0, **after))[0] == expected


@pytest.mark.parametrize(
    "after, expected",
    [
        ({"temperature_c": 65.0}, "warming"),
        ({"governor": "powersave"}, "governor"),
        ({"on_battery": True}, "battery"),
        ({"busy_seconds": 4.0}, "other-processes"),
    ],
)
def test_hints(after, expected):
    reasons, warnings = codes(after=replace(CALM, at=10.0, **after))
    assert not reasons and expected in warnings


def test_unstable_warm_up_is_a_hint():
    assert codes([launch(noisy(1e5, s), stable=False) for s in range(5)]) == (set(), {"warm-up"})


def test_operators_left_behind_are_named():
    ops = [OpTime(0, "CONV_2D", "", True, 1.0), OpTime(1, "SOFTMAX", "", False, 1.0)]
    assert codes(ops=ops)[1] == {"fallback"}
    assert codes(ops=ops[1:])[1] == set(), "without a delegate nothing falls back"


def readings(clock=2000.0, end_clock=None, hottest=50.0, count=8):
    clocks = np.linspace(clock, end_clock or clock, count)
    return np.stack([np.arange(count) * 50, np.arange(count) * 0.25, clocks, np.linspace(40, hottest, count)], axis=1)


@pytest.mark.parametrize(
    "seen, expected",
    [
        (readings(), set()),
        (readings(end_clock=1400.0), {"clock"}),
        (readings(end_clock=2600.0), set()),
        (readings(hottest=97.0), {"hot"}),
        (np.full((8, 4), np.nan), set()),
        (np.zeros((0, 4)), set()),
    ],
)
def test_throttling_is_seen_while_it_happens(seen, expected):
    assert codes([launch(noisy(1e5, s), readings=seen) for s in range(5)])[0] == expected


def test_scattered_runs():
    wild = [launch(np.random.default_rng(s).uniform(0.5e5, 1.5e5, 400)) for s in range(5)]
    assert "scattered" in codes(wild)[0]
    spikes = noisy(1e5, 0)
    spikes[::50] *= 20
    assert codes([launch(spikes)] * 5)[0] == set(), "outliers are what percentiles are for"


def demanded(launches=STEADY, ops=(), **demands):
    interval = latency(launches).interval
    after = replace(CALM, at=10.0)
    found = judge(launches, 5, interval, before=CALM, after=after, threads=1, cores=4, ops=ops, demands=Demands(**demands))
    return {f.code for f in found.reasons}


def test_a_percentile_that_was_asked_for_needs_its_samples():
    few = [launch(noisy(1e5, s, 100)) for s in range(5)]
    assert demanded(few, percentile=95) == set()
    assert demanded(few, percentile=99) == {"percentile"}


def test_operators_left_behind_can_be_forbidden():
    ops = [OpTime(0, "CONV_2D", "", True, 1.0), OpTime(1, "SOFTMAX", "", False, 1.0)]
    assert demanded(ops=ops, delegated=True) == {"fallback"}
    assert demanded(ops=ops) == set()


def test_document():
    found = judge(STEADY, 6, latency(STEADY).interval, before=CALM, after=replace(CALM, at=1.0), threads=1, cores=2, ops=())
    assert Validity.from_json(found.to_json()) == found


def test_load_is_others_only():
    after = replace(CALM, at=10.0, busy_seconds=25.0, own_seconds=5.0, stolen_seconds=1.0)
    assert Load.between(CALM, after) == Load(2.0, 0.1)


def test_this_machine_has_a_state():
    here, now = machine(), device_state()
    assert here.threads >= 1 and here.memory_bytes > 0 and here.cpu
    assert now.memory_available_bytes > 0
    assert set(now.to_json()) == set(CALM.to_json())
