import json
import time
from functools import cache

import jsonschema
import numpy as np
import pytest

from edgekit import schemas, timing
from edgekit.errors import InvalidMeasurement, UsageError
from edgekit.profiling import compare, comparison_rows
from edgekit.profiling.comparing import ratio_of, verdict
from edgekit.profiling.statistics import Interval
from edgekit.testing.scripted_runtime import ScriptedRuntime, launch
from edgekit.timing import Pace, sample

pytestmark = pytest.mark.usefixtures("quiet")


def disturbed(rng, level, count=200):
    """A launch as machines give them: a level of its own, skewed runs, outliers, bursts, now and then a busy neighbour."""
    level *= np.exp(rng.normal(0, 0.015)) * (rng.uniform(1.05, 1.5) if rng.random() < 0.1 else 1)
    samples = level * rng.lognormal(0, 0.03, count)
    outliers = rng.random(count) < 0.05
    samples[outliers] *= rng.uniform(1.2, 3, outliers.sum())
    if rng.random() < 0.5:
        start = rng.integers(count)
        samples[start : start + count // 5] *= 1.3
    return launch(samples)


def rounds(seed, effect, count=20):
    rng = np.random.default_rng(seed)
    speeds = np.exp(rng.normal(0, 0.02, count)) * 1e5  # the machine itself is faster or slower in each round
    return [disturbed(rng, s) for s in speeds], [disturbed(rng, s * effect) for s in speeds]


@cache
def ratios(effect):
    """What 100 noisy runs tell."""
    return [ratio_of(rounds(seed, effect), seed) for seed in range(100)]


@pytest.mark.parametrize("effect, expected", [(1.05, "slower"), (1 / 1.05, "faster"), (1.0, "no difference")])
def test_right_in_95_of_100_noisy_runs(effect, expected):
    right = sum(verdict(ratio, 0.01) == expected for ratio in ratios(effect))
    assert right >= 95


def test_the_interval_covers_the_ratio():
    assert sum(ratio.low <= 1.05 <= ratio.high for ratio in ratios(1.05)) >= 90


class Alternating(ScriptedRuntime):
    """Both sides of a comparison: the threads asked for choose the speed, so one script serves two plans."""

    def measure(self, request, pace, inputs):
        self.asked.append(request.model.name)
        rng = np.random.default_rng(len(self.asked))
        return disturbed(rng, 1e5 * (1.3 if request.model.name == "b.tflite" else 1.0))


@pytest.fixture
def pair(tmp_path):
    for name in ("a.tflite", "b.tflite"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path / "a.tflite", tmp_path / "b.tflite"


def test_launches_alternate_in_random_order(pair):
    runtime = Alternating([])
    found = compare(*pair, runtime=runtime)
    firsts = runtime.asked[::2]
    assert all(set(runtime.asked[i : i + 2]) == {"a.tflite", "b.tflite"} for i in range(0, len(runtime.asked), 2))
    assert set(firsts) == {"a.tflite", "b.tflite"}
    assert [f[0] for f in firsts] == list(found.order)
    assert found.verdict == "slower"
    assert "b.tflite is" in found.sentence and "slower than a.tflite" in found.sentence


def test_the_seed_decides_the_order(pair):
    orders = [compare(*pair, runtime=Alternating([]), seed=seed, quick=True).order for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_rounds_end_when_the_ratio_is_known(pair):
    class Quiet(Alternating):
        def measure(self, request, pace, inputs):
            self.asked.append(request.model.name)
            return launch(np.random.default_rng(len(self.asked)).lognormal(11, 0.01, 500))

    found = compare(*pair, runtime=Quiet([]))
    assert len(found.order) == 10 and found.verdict == "no difference" and found.require() is found


def test_a_comparison_too_blunt_to_tell_is_invalid(pair):
    class Wild(Alternating):
        def measure(self, request, pace, inputs):
            self.asked.append(request.model.name)
            rng = np.random.default_rng(len(self.asked))
            return launch(rng.lognormal(11 + rng.normal(0, 0.5), 0.3, 100))

    found = compare(*pair, runtime=Wild([]), quick=True)
    with pytest.raises(InvalidMeasurement, match="could hide"):
        found.require()


def test_interruption_keeps_whole_rounds(pair):
    class Stopped(Alternating):
        def measure(self, request, pace, inputs):
            if len(self.asked) == 9:
                raise KeyboardInterrupt
            return super().measure(request, pace, inputs)

    found = compare(*pair, runtime=Stopped([]))
    assert len(found.order) == 4 == len(found.a.launches) == len(found.b.launches)
    assert not found.validity.valid


def test_document(pair):
    found = compare(*pair, runtime=Alternating([]), quick=True)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    jsonschema.validate(document, schemas.schema("comparison-1"))
    for side in ("a", "b"):
        jsonschema.validate(document[side], schemas.schema("profile-1"))


def test_rows(pair):
    table = dict(comparison_rows(compare(*pair, runtime=Alternating([]), quick=True)))
    assert "rounds" in table["verdict"] and table["counts as none"] == "up to 1.0%"


@pytest.mark.parametrize(
    "ratio, expected",
    [
        (Interval(1.05, 1.02, 1.08), "slower"),
        (Interval(1.02, 1.005, 1.03), "no difference"),
        (Interval(0.95, 0.93, 0.97), "faster"),
        (Interval(0.99, 0.985, 0.995), "no difference"),
        (Interval(1.0, 0.9, 1.1), "no difference"),
    ],
)
def test_verdicts(ratio, expected):
    assert verdict(ratio, 0.01) == expected


@pytest.mark.parametrize("options", [{"rounds": 2}, {"margin": -0.1}, {"margin": 1.5}])
def test_nonsense_is_refused(pair, options):
    with pytest.raises(UsageError):
        compare(*pair, runtime=Alternating([]), **options)


def spin(seconds):
    """A kernel of known duration on the time this thread has."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_real_kernel_of_known_duration_is_recovered(monkeypatch):
    monkeypatch.setattr(timing.time, "perf_counter", time.thread_time)  # which a busy machine does not stretch
    monkeypatch.setattr(timing.time, "perf_counter_ns", time.thread_time_ns)
    pace = Pace(min_seconds=0.02, max_seconds=0.1, warmup_seconds=0.02)
    one = [launch(sample(lambda: spin(0.001), pace, lambda: None).samples_ns) for _ in range(5)]
    other = [launch(sample(lambda: spin(0.0015), pace, lambda: None).samples_ns) for _ in range(5)]
    fastest = min(x.timings.samples_ns.min() for x in one) / 1e6
    assert fastest >= 0.99, "a sample cannot be shorter than the kernel"
    assert 1.4 < ratio_of((one, other), 0).value < 1.6
