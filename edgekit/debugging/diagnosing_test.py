"""Debugging end to end through the fake format."""

import json
from dataclasses import replace

import numpy as np
import pytest

from edgekit import schemas
from edgekit.conversion import convert
from edgekit.debugging import debug
from edgekit.debugging.causes import OF_WEIGHTS
from edgekit.debugging.diagnosis import FLOAT_ROUNDING
from edgekit.errors import DataError, UsageError
from edgekit.recipe import Recipe, pass_class
from edgekit.recipes import load_recipe
from edgekit.testing.failing import CULPRIT, PLAIN, answered, failing_net
from edgekit.testing.fake_target import fake_target

TARGET = fake_target()


@pytest.fixture(scope="module")
def graph():
    return failing_net()


@pytest.fixture(scope="module")
def data(graph):
    return answered(graph)


def made(graph, data, folder, recipe=PLAIN):
    return convert(graph, TARGET, recipe=recipe, calibration=data, out=folder / "a")


@pytest.fixture(scope="module")
def artifact(graph, data, tmp_path_factory):
    return made(graph, data, tmp_path_factory.mktemp("debug"))


@pytest.fixture(scope="module")
def found(artifact, graph, data):
    return debug(artifact, graph, data=data, calibration=data, target=TARGET)


def test_the_layer_that_fails_is_first_with_its_cause(found):
    worst = found.ranked[0]
    assert worst.name == CULPRIT and worst.share > 0.5
    assert worst.finding.cause == "per-channel spread" and worst.finding.knobs[0] == "equalize"
    assert sum(layer.share for layer in found.layers) == pytest.approx(1.0)
    assert found.samples == 60 and found.recipe == "plain" and found.notes == ()


def test_no_knob_of_weights_is_named_for_an_input(found):
    finding = found.layers[0].finding
    assert finding.tensor == "input" and finding.knobs and not set(finding.knobs) & set(OF_WEIGHTS)


def test_the_rebuilt_graph_is_the_file(found):
    assert found.file.sqnr_db > 40
    assert found.before.sqnr_db > FLOAT_ROUNDING, "no pass before rounding, and lowering changes the order of sums at most"
    assert found.outputs == found.layers[-1].loss.cumulative


def test_the_document_is_valid_and_says_what_the_tables_say(found):
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    schemas.validate(document, "diagnosis-1", "it")
    assert document["layers"][document["ranked"][0]]["module"] == CULPRIT
    assert document["layers"][0]["name"] == "x0" and document["layers"][0]["module"] == ""
    assert document["before"]["sqnr_db"] is None or document["before"]["sqnr_db"] > FLOAT_ROUNDING


def test_what_earlier_passes_lose_is_told_apart(graph, data, tmp_path):
    recipe = replace(load_recipe("sparse50_int8"), passes=load_recipe("sparse50_int8").passes[:1] + PLAIN.passes)
    found = debug(made(graph, data, tmp_path, recipe), graph, data=data, target=TARGET)
    assert found.before.sqnr_db < min(layer.loss.alone.sqnr_db for layer in found.layers if layer.name != CULPRIT)
    assert any("--calibration" in note for note in found.notes), "grids are guessed without the data they were made of"


def test_other_calibration_is_noticed(artifact, graph, data):
    loud = replace(data, inputs={"x0": data.inputs["x0"] * 30})
    found = debug(artifact, graph, data=data, calibration=loud, target=TARGET)
    assert found.file.sqnr_db < 25 and any("rebuilt" in note for note in found.notes)


def test_tables_are_debugged_like_grids(graph, data, tmp_path):
    found = debug(made(graph, data, tmp_path, load_recipe("palettize4_grouped")), graph, data=data, target=TARGET)
    assert {layer.name for layer in found.layers} <= {"stem", "body", "head"}
    assert all(layer.finding.tensor == "weight" for layer in found.layers)


def test_a_recipe_that_rounds_nothing(graph, data, tmp_path):
    with pytest.raises(UsageError, match="nothing to debug"):
        debug(made(graph, data, tmp_path, load_recipe("float32")), graph, data=data, target=TARGET)


TAUGHT = pass_class("fine_tune")(epochs=1, learning_rate=3e-2, batch_norm=False, keep="last")


@pytest.mark.parametrize("passes", [(TAUGHT, *PLAIN.passes), (*PLAIN.passes, TAUGHT)], ids=["before", "behind"])
def test_a_recipe_that_trains(graph, data, tmp_path, passes):
    artifact = convert(graph, TARGET, recipe=Recipe("trained", passes), calibration=data, training=data, out=tmp_path / "a")
    with pytest.raises(DataError, match="no training data"):
        debug(artifact, graph, data=data, calibration=data, target=TARGET)
    found = debug(artifact, graph, data=data, calibration=data, training=data, target=TARGET)
    assert found.file.sqnr_db == np.inf, "trained again to the same bits"
    assert found.before.sqnr_db < 60, "what training changed is told apart"
    assert found.ranked[0].name == CULPRIT and found.ranked[0].finding.cause == "per-channel spread"
    other = debug(artifact, graph, data=data, calibration=data, training=answered(graph, seed=8), target=TARGET)
    assert other.before != found.before, "other data teach something else"


def test_what_only_trains_tables_rounds_nothing_behind_it(graph, data, tmp_path):
    recipe = Recipe("tables", (*load_recipe("palettize4_grouped").passes, TAUGHT))
    artifact = convert(graph, TARGET, recipe=recipe, calibration=data, training=data, out=tmp_path / "a")
    with pytest.raises(UsageError, match="behind its training"):
        debug(artifact, graph, data=data, calibration=data, training=data, target=TARGET)


def test_without_the_float_model(artifact, data):
    with pytest.raises(UsageError, match="not at hand") as caught:
        debug(artifact, data=data, target=TARGET)
    assert "--model" in str(caught.value)


def test_data_of_another_shape(artifact, graph):
    with pytest.raises(DataError, match="shape"):
        debug(artifact, graph, data=np.zeros((4, 3, 9, 9), np.float32), target=TARGET)


def test_a_target_of_another_name(artifact, graph, data):
    with pytest.raises(UsageError, match="made for 'fake'"):
        debug(artifact, graph, data=data, target="android")
