import inspect
from dataclasses import fields

import pytest

import edgekit
from edgekit.debugging.subject import LookingOptions, opened
from edgekit.verification.reading import JudgingOptions, Reading, ReadingOptions, judging
from edgekit.verification.verdict import Gates


def names(of) -> set[str]:
    return {f.name for f in fields(of)}


def test_options_are_those_that_are_read():
    assert ReadingOptions.__optional_keys__ == names(Reading)
    assert JudgingOptions.__optional_keys__ == names(Reading) | names(Gates)
    own = {p.name for p in inspect.signature(opened).parameters.values() if p.kind is p.KEYWORD_ONLY} - {"data", "free"}
    assert LookingOptions.__optional_keys__ == names(Reading) | own


def test_thresholds_are_told_from_the_rest():
    gates, reading = judging({"min_cosine": 0.5, "delegate": "none", "samples": 3})
    assert gates == Gates(min_cosine=0.5) and reading == Reading(samples=3, delegate="none")


@pytest.mark.parametrize("call", [edgekit.verify, edgekit.verify_all, edgekit.debug, edgekit.fix])
def test_an_option_that_there_is_not_is_refused_at_once(call):
    given = {"data": None, "max_drop": 0.1} if call is edgekit.fix else {"data": None}
    with pytest.raises(TypeError, match="sample_count"):
        call("nowhere", **given, sample_count=3)
