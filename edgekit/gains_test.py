import json
from dataclasses import replace

import pytest

from edgekit.gains import Gains, Size, Timing

TIMING = Timing(2.0, 1.0, 0.5, 0.48, 0.52, "faster", 10, "litert")
GAINS = Gains(Size(100, 10), Size(50, 8, zeros=2))


def test_what_was_not_measured_is_no_gain():
    assert GAINS.no_measured_gain and GAINS.reason


@pytest.mark.parametrize(
    ("timing", "none"),
    [
        (TIMING, False),
        (replace(TIMING, verdict="no difference"), True),
        (replace(TIMING, verdict="slower"), True),
        (replace(TIMING, doubts=("interrupted after 2 rounds",)), True),
    ],
)
def test_only_a_trusted_faster_is_a_gain(timing, none):
    found = GAINS.measured(replace(GAINS.before, bytes=9), replace(GAINS.after, bytes=5), timing)
    assert found.no_measured_gain is none and found.reason is None and found.after.bytes == 5


def test_a_measurement_that_was_impossible_keeps_its_reason():
    found = GAINS.measured(GAINS.before, GAINS.after, None, "nothing here runs it")
    assert found.no_measured_gain and found.reason == "nothing here runs it"


def test_zeros_are_a_share_of_what_is_left():
    assert GAINS.sparsity == 0.25 and TIMING.speedup == 2
    assert Gains(Size(0, 0), Size(0, 0)).sparsity == 0


@pytest.mark.parametrize("gains", [GAINS, GAINS.measured(GAINS.before, GAINS.after, TIMING)])
def test_it_survives_its_json(gains):
    document = json.loads(json.dumps(gains.to_json()))
    assert Gains.from_json(document) == gains and document["no_measured_gain"] is gains.no_measured_gain
