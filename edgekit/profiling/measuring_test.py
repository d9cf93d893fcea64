import json
from typing import ClassVar
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest

from edgekit import schemas
from edgekit.errors import InvalidMeasurement, LoadError, UsageError
from edgekit.profiling import Profile, op_rows, profile, rows
from edgekit.profiling.exporting import to_junit
from edgekit.testing.scripted_runtime import ScriptedRuntime, launch, noisy

pytestmark = pytest.mark.usefixtures("quiet")


def steady(count=5):
    return ScriptedRuntime([launch(noisy(100_000, seed)) for seed in range(count)])


def test_the_figures_are_those_of_the_samples(model_file):
    runtime = steady()
    found = profile(model_file, runtime=runtime)
    samples = [x.timings.samples_ns / 1e6 for x in runtime.launches]
    pooled = np.concatenate(samples)
    assert found.latency.median_ms == np.median([np.median(s) for s in samples])
    assert found.latency.low_ms < found.latency.median_ms < found.latency.high_ms
    assert found.latency.p99_ms == np.percentile(pooled, 99)
    assert found.latency.samples == 2000
    assert found.latency.overhead_us == 0.25
    assert found.memory.added_rss_bytes == 6_000_000
    assert (found.memory.arena_bytes, found.memory.planned_arena_bytes) == (7000, 9000)
    assert found.valid and not found.partial
    assert found.require() is found


def test_raw_samples_are_kept_and_come_back(model_file, tmp_path):
    found = profile(model_file, runtime=steady())
    again = Profile.load(found.save(tmp_path / "profile.json"))
    assert again.to_json() == found.to_json()
    assert again.launches[2].timings.samples_ns.tolist() == found.launches[2].timings.samples_ns.tolist()


def test_the_document_is_valid_under_its_schema(model_file):
    document = json.loads(json.dumps(profile(model_file, runtime=steady()).to_json(), allow_nan=False))
    jsonschema.validate(document, schemas.schema("profile-1"))
    schemas.validate(document, "profile-1", "it")


def test_another_document_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"schema": "edgekit.profile/2"}')
    with pytest.raises(UsageError, match="not a profile"):
        Profile.load(tmp_path / "x.json")
    with pytest.raises(UsageError, match="cannot read"):
        Profile.load(tmp_path / "missing.json")


def test_percentiles_below_their_floor_are_missing_with_the_reason(model_file):
    found = profile(model_file, runtime=ScriptedRuntime([launch(noisy(1e6, 0, 20))] * 5))
    assert found.latency.p90_ms is not None and found.latency.p95_ms is None
    assert "p95 needs 130 samples, there are 100" in found.latency.missing


def test_interruption_keeps_what_was_measured(model_file):
    runtime = ScriptedRuntime([launch(noisy(1e5, 0)), launch(noisy(1e5, 1)), KeyboardInterrupt()])
    found = profile(model_file, runtime=runtime)
    assert found.partial and not found.valid
    assert len(found.launches) == 2
    assert "interrupted after 2 of 5 launches" in found.validity.reasons[0].text
    assert found.ops.reason == "interrupted"
    jsonschema.validate(json.loads(json.dumps(found.to_json())), schemas.schema("profile-1"))


class OtherKernels(ScriptedRuntime):
    kernels: ClassVar = {"xnnpack": "optimized graph"}


def test_a_runtime_without_delegates_is_not_said_to_have_one(model_file):
    found = profile(model_file, runtime=OtherKernels([launch(noisy(1e5, i)) for i in range(5)]))
    assert found.runner.delegate == "optimized graph"
    assert profile(model_file, runtime=OtherKernels([launch(noisy(1e5, i)) for i in range(5)]), delegate="none").runner.delegate == "none"


def test_each_launch_is_told_as_a_partial_profile(model_file):
    told = []
    found = profile(model_file, runtime=ScriptedRuntime([launch(noisy(1e5, i)) for i in range(3)]), launches=3, on_launch=told.append)
    assert [len(p.launches) for p in told] == [1, 2]
    assert all(p.partial and not p.valid for p in told)
    assert not found.partial
    jsonschema.validate(json.loads(json.dumps(told[0].to_json())), schemas.schema("profile-1"))


def test_interruption_before_the_first_launch_is_an_interruption(model_file):
    with pytest.raises(KeyboardInterrupt):
        profile(model_file, runtime=ScriptedRuntime([KeyboardInterrupt()]))


def test_an_invalid_one_has_exit_code_3(model_file):
    runtime = ScriptedRuntime([launch(noisy(level, 0)) for level in (1e5, 2e5, 1e5, 3e5, 1e5)])
    found = profile(model_file, runtime=runtime)
    with pytest.raises(InvalidMeasurement, match="cannot be trusted") as caught:
        found.require()
    assert caught.value.exit_code == 3


def test_inputs_fit_the_model(model_file):
    runtime = steady()
    profile(model_file, runtime=runtime, threads=2, delegate="none")
    request, _, inputs = runtime.asked[0]
    assert (request.threads, request.delegate) == (2, "none")
    assert inputs["x"].shape == (4,) and inputs["x"].dtype == np.int8
    assert not inputs["ids"].any(), "indices must stay in range whatever the table"


def test_quick_makes_fewer_and_shorter_launches(model_file):
    runtime = steady()
    assert len(profile(model_file, runtime=runtime, quick=True).launches) == 3
    assert runtime.asked[0][1].max_seconds < 0.5


def test_min_time_is_passed_on(model_file):
    runtime = steady()
    profile(model_file, runtime=runtime, min_time=3.0)
    assert runtime.asked[0][1].min_seconds == 3.0 and runtime.asked[0][1].max_seconds >= 3.0


def test_a_long_launch_shows_throttling_and_keeps_the_short_ones_valid(model_file):
    slowing = np.concatenate([noisy(1e5, 0, 4000), noisy(1.3e5, 1, 8000)])
    found = profile(model_file, runtime=ScriptedRuntime([*steady().launches, launch(slowing)]), sustained=60)
    assert found.sustained.throttled_at_s == pytest.approx(0.4, abs=0.1) and found.sustained.change > 0.25
    assert found.valid and [f.code for f in found.validity.warnings if f.code == "throttles"]
    assert found.latency.median_ms == pytest.approx(0.1, rel=0.02)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    jsonschema.validate(document, schemas.schema("profile-1"))
    assert Profile.from_json(document).sustained == found.sustained
    assert "after" in dict(rows(found))["sustained"]


def test_an_interrupted_long_launch_leaves_the_profile(model_file):
    found = profile(model_file, runtime=ScriptedRuntime([*steady().launches, KeyboardInterrupt()]), sustained=60)
    assert found.valid and found.sustained is None


def test_energy_where_there_is_a_meter(model_file):
    metered = [launch(noisy(1e5, s), energy_j=0.4, meter="powercap", meter_resolution="packages") for s in range(5)]
    found = profile(model_file, runtime=ScriptedRuntime(metered))
    assert found.energy.millijoules == pytest.approx(1.0) and found.energy.reason is None
    assert dict(rows(found))["energy"] == "1 mJ a run (powercap: packages)"


def test_no_energy_where_there_is_none(model_file):
    found = profile(model_file, runtime=steady())
    assert found.energy.millijoules is None and "no energy meter" in found.energy.reason
    assert "energy" not in dict(rows(found))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"on": "phone"}, "no device is called 'phone'"),
        ({"launches": 0}, "cannot measure 0 launches"),
        ({"min_time": -1}, "cannot sample for"),
        ({"sustained": 0.1}, "cannot run for"),
        ({"percentile": 50}, "no floor is known for percentile 50"),
        ({"runtime": "nonsense"}, "no runtime is called 'nonsense'"),
        ({"runtime": "fake"}, "does not run 'litert' files"),
    ],
)
def test_nonsense_is_refused(model_file, options, message):
    with pytest.raises(UsageError, match=message):
        profile(model_file, **{"runtime": steady()} | options)


def test_a_missing_file(tmp_path):
    with pytest.raises(LoadError, match="no model file or artifact"):
        profile(tmp_path / "no.tflite")


def test_not_a_model_at_all():
    with pytest.raises(UsageError, match="cannot measure a int"):
        profile(3)


def test_rows_say_it_all(model_file):
    table = dict(rows(profile(model_file, runtime=steady())))
    assert table["latency (median)"].startswith("99.") or table["latency (median)"].startswith("100")
    assert "µs" in table["latency (median)"] and "[" in table["latency (median)"]
    assert table["trusted"] == "yes"
    assert table["arena"] == "7 kB beside the delegate's own, 9 kB without a delegate"


def test_rows_say_why_not(model_file):
    runtime = ScriptedRuntime([launch(noisy(1e5, s), cpu_share=0.5) for s in range(5)])
    table = rows(profile(model_file, runtime=runtime))
    assert ("trusted", "NO") in table
    assert any("got the CPU 50% of the time" in text for _, text in table)


def test_operators_slowest_first(model_file):
    table = op_rows(profile(model_file, runtime=steady()))
    assert table[0] == ("0", "CONV_2D", "", "xnnpack", "60 µs", "75.0%")
    assert table[1] == ("1", "SOFTMAX", "", "cpu", "20 µs", "25.0%")


def test_junit(model_file):
    good = ElementTree.fromstring(to_junit(profile(model_file, runtime=steady())).encode())
    assert good.get("failures") == "0" and float(good.find("testcase").get("time")) == pytest.approx(1e-4, rel=0.05)
    bad = ElementTree.fromstring(
        to_junit(profile(model_file, runtime=ScriptedRuntime([launch(noisy(1e5, 0)), KeyboardInterrupt()]))).encode()
    )
    assert bad.get("failures") == "1" and "partial" in bad.find("testcase/failure").text
