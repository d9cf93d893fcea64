"""The page of a diagnosis holds what was found, escapes everything and reaches nowhere."""

from dataclasses import replace

import pytest

from edgekit.conversion import convert
from edgekit.debugging import fix
from edgekit.report import render_diagnosis
from edgekit.report.html_test import EVIL, Page
from edgekit.testing.failing import PLAIN, answered, failing_net
from edgekit.testing.fake_target import fake_target


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    graph, folder = failing_net(), tmp_path_factory.mktemp("page")
    data = answered(graph)
    artifact = convert(graph, fake_target(), recipe=PLAIN, calibration=data, out=folder / "a")
    return fix(artifact, graph, data=data, calibration=data, max_drop=0.02, target=fake_target(), test=answered(graph, 20, seed=4))


def test_a_diagnosis_alone(fixed):
    page = Page(render_diagnosis(fixed.diagnosis))
    assert "script" not in page.tags and not page.links
    for text in ("stem", "per-channel spread", "All layers", "60 samples"):
        assert text in page.text
    assert "What was tried" not in page.text


def test_with_what_was_tried(fixed):
    page = Page(render_diagnosis(fixed.diagnosis, fixed))
    assert "inside the budget" in page.text and "channels equalized" in page.text and "nothing was chosen with" in page.text
    assert f'pass = "{"equalize"}"' in page.text, "the recipe is there"


def test_names_are_escaped(fixed):
    first = fixed.diagnosis.layers[0]
    named = replace(first, loss=replace(first.loss, layer=replace(first.loss.layer, name=EVIL)))
    page = Page(render_diagnosis(replace(fixed.diagnosis, layers=(named, *fixed.diagnosis.layers[1:]))))
    assert "script" not in page.tags and "img" not in page.tags
