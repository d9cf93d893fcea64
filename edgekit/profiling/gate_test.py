import json
from dataclasses import replace

import numpy as np
import pytest

from edgekit.errors import GateFailed, UsageError
from edgekit.profiling import profile
from edgekit.profiling.exporting import to_junit
from edgekit.profiling.gate import regression
from edgekit.profiling.reading import read_profile
from edgekit.testing.counted import counted_profile
from edgekit.testing.scripted_runtime import ScriptedRuntime, launch, noisy

pytestmark = pytest.mark.usefixtures("quiet")


def measured(model_file, factor=1.0, seed=0, spread=0.01):
    levels = 1e5 * factor * np.random.default_rng(seed).lognormal(0, spread, 5)
    return profile(model_file, runtime=ScriptedRuntime([launch(noisy(level, seed + i)) for i, level in enumerate(levels)]))


@pytest.mark.parametrize("factor, passed", [(1.0, True), (1.03, True), (0.8, True), (1.12, False)])
def test_a_regression_beyond_what_is_allowed_fails(model_file, factor, passed):
    held = regression(measured(model_file, factor, seed=1), measured(model_file), 0.05)
    assert held.passed is passed and held.ratio.low <= held.ratio.value <= held.ratio.high
    if not passed:
        with pytest.raises(GateFailed, match="more than the") as caught:
            held.require()
        assert caught.value.exit_code == 1


def test_what_noise_explains_does_not_fail(model_file):
    held = regression(measured(model_file, 1.06, seed=3, spread=0.15), measured(model_file, seed=4, spread=0.15), 0.0)
    assert held.ratio.low < 1 and held.passed


def test_other_machines_and_threads_are_no_baseline(model_file):
    found = measured(model_file)
    for other in (replace(found, runner=replace(found.runner, threads=4)), replace(found, machine=replace(found.machine, cpu="6502"))):
        with pytest.raises(UsageError, match="taken otherwise") as caught:
            regression(found, other, 0.05)
        assert caught.value.next_step
    with pytest.raises(UsageError, match="basis"):
        regression(found, counted_profile(), 0.05)
    with pytest.raises(UsageError, match="cannot allow"):
        regression(found, found, -0.1)


def test_counts_are_compared_exactly():
    held = regression(counted_profile(1_000_001), counted_profile(1_000_000), 0.0)
    assert not held.passed and held.quantity == "instructions"
    assert regression(counted_profile(), counted_profile(), 0.0).passed


def test_both_kinds_come_back_from_a_file(model_file, tmp_path):
    for found in (measured(model_file), counted_profile()):
        path = tmp_path / "baseline.json"
        path.write_text(json.dumps(found.to_json()))
        assert read_profile(path).to_json() == found.to_json()
    path.write_text("{}")
    with pytest.raises(UsageError, match="not a profile"):
        read_profile(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_profile(tmp_path / "no.json")


def test_junit_has_a_case_for_the_baseline(model_file):
    slow, base = measured(model_file, 1.2, seed=1), measured(model_file)
    report = to_junit(slow, regression(slow, base, 0.05))
    assert 'tests="2"' in report and 'failures="1"' in report and "GateFailed" in report
    assert 'failures="0"' in to_junit(base, regression(base, base, 0.05))
