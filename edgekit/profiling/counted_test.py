import json

import jsonschema
import pytest

from edgekit import schemas
from edgekit.counting import CountedRun, InstructionCount
from edgekit.errors import InvalidMeasurement, UsageError
from edgekit.profiling.counted import CountedProfile, Counts, Estimate
from edgekit.profiling.counted_rows import counted_op_rows, counted_rows
from edgekit.profiling.profiles import Profile
from edgekit.testing.counted import counted_profile

ESTIMATE = Estimate(12.5, 10.0, 15.0, 1_250_000, 100.0, "my-board", "its datasheet")


@pytest.mark.parametrize("estimate", [None, ESTIMATE])
def test_document(estimate):
    found = counted_profile(estimate=estimate)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    jsonschema.validate(document, schemas.schema("profile-1"))
    assert CountedProfile.from_json(document) == found
    assert document["basis"] == "counted" and document["latency"] is None
    with pytest.raises(UsageError, match="no measured times"):
        Profile.from_json(document)


def test_counts_that_differ_are_not_trusted():
    found = counted_profile(runs=(100, 100, 101))
    assert not found.valid and found.counts.run.total == 100
    with pytest.raises(InvalidMeasurement, match="100 to 101 instructions") as caught:
        found.require()
    assert caught.value.exit_code == 3
    assert counted_profile().require()


def test_counts_of_a_run():
    run = CountedRun(tuple(InstructionCount(n) for n in (5, 9, 5)), "x")
    assert Counts.of(run).run.total == 5 and not Counts.of(run).deterministic


def test_no_row_calls_a_count_a_time():
    told = " ".join(f"{a} {b}" for a, b in counted_rows(counted_profile()))
    assert "1,000,000, the same in 3 runs (a count, no time)" in told
    assert " ms" not in told and "latency" not in told


def test_an_estimate_is_called_one():
    table = dict(counted_rows(counted_profile(estimate=ESTIMATE)))
    assert table["estimated time"].startswith("estimate: 12.5 ms (10 ms to 15 ms), 1,250,000 cycles at 100 MHz")
    assert table["estimate rests on"] == "its datasheet"


def test_operators():
    assert counted_op_rows(counted_profile())[0] == ("0", "CONV_2D", "features.conv", "cpu", "900,000", "90.0%")
