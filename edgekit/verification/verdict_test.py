import json
import math
from dataclasses import replace
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest

from edgekit import schemas
from edgekit.errors import DataError, GateFailed, UsageError
from edgekit.verification.metrics import evaluate
from edgekit.verification.parity import compare
from edgekit.verification.verdict import Gates, Verdict, from_json, judge

LABELS = np.arange(100) % 10
REFERENCE = {"y": np.eye(10)[LABELS]}
ARTIFACT = {"y": np.where(np.arange(100)[:, None] < 2, np.roll(REFERENCE["y"], 1, axis=1), REFERENCE["y"])}
PARITY = compare(REFERENCE, ARTIFACT)
METRIC = evaluate("accuracy", REFERENCE, ARTIFACT, LABELS)


def verdict(gates=None, parity=PARITY, metric=METRIC):
    return Verdict("0" * 64, "fake", "xnnpack", 100, "source", parity, metric, judge(gates or Gates(), parity, metric))


@pytest.mark.parametrize(
    ("gates", "passes"),
    [
        (Gates(), True),
        (Gates(max_drop=0.02), True),
        (Gates(max_drop=0.0199), False),
        (Gates(min_accuracy=0.98), True),
        (Gates(min_accuracy=0.981), False),
        (Gates(min_cosine=0.9), True),
        (Gates(min_cosine=0.99), False),
        (Gates(min_sqnr=10), True),
        (Gates(min_sqnr=40), False),
        (Gates(min_agreement=0.98), True),
        (Gates(min_agreement=0.99), False),
    ],
)
def test_thresholds_gate(gates, passes):
    got = verdict(gates)
    assert got.passed == passes
    if passes:
        assert got.require() is got
    else:
        with pytest.raises(GateFailed, match="asked") as caught:
            got.require()
        assert caught.value.exit_code == 1


def test_nan_always_fails():
    parity = compare(REFERENCE, {"y": np.full((100, 10), np.nan)})
    assert not verdict(parity=parity).passed


def test_a_threshold_on_what_was_not_measured_is_no_pass():
    with pytest.raises(DataError, match="metric"):
        judge(Gates(max_drop=0.01), PARITY, None)
    box = compare({"b": np.ones((3, 2, 2))}, {"b": np.ones((3, 2, 2))})
    with pytest.raises(DataError, match="min_agreement"):
        judge(Gates(min_agreement=0.9), box, None)


@pytest.mark.parametrize("bad", [{"min_cosine": 95}, {"min_agreement": -1}, {"max_drop": math.nan}])
def test_impossible_thresholds_are_refused(bad):
    with pytest.raises(UsageError):
        Gates(**bad)


@pytest.mark.parametrize("artifact", [ARTIFACT, REFERENCE])
def test_json_round_trip_under_the_published_schema(artifact):
    got = verdict(Gates(max_drop=0.01, min_sqnr=5), compare(REFERENCE, artifact))
    text = json.dumps(got.to_json(), allow_nan=False)
    jsonschema.validate(json.loads(text), schemas.schema("verdict-1"))
    back = from_json(json.loads(text))
    assert replace(back, gates=()) == replace(got, gates=())


def test_junit_shows_each_gate():
    suite = ElementTree.fromstring(verdict(Gates(max_drop=0.01, min_cosine=0.9)).to_junit("a"))
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    failed = [c.get("name") for c in suite if c.find("failure") is not None]
    assert failed == ["max_drop"]
