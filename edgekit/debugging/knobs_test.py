"""Knobs give recipes that work, and only where they change something."""

import itertools
from pathlib import Path

import pytest

from edgekit.artifact import Artifact
from edgekit.compress.quantize import Quantize
from edgekit.debugging.diagnosing import diagnosed
from edgekit.debugging.knobs import KNOBS, State, in_order
from edgekit.debugging.subject import Subject
from edgekit.ordering import check_order
from edgekit.recipe import Recipe
from edgekit.recipes import load_recipe
from edgekit.targets import load_target
from edgekit.testing.failing import CULPRIT, PLAIN, answered, failing_net


def subject(graph, recipe):
    samples = answered(graph, 16)
    nowhere = Artifact(Path("a"), None)
    return Subject(nowhere, graph, recipe, load_target("android"), samples, samples)


@pytest.fixture(scope="module")
def ranked():
    return diagnosed(subject(failing_net(), PLAIN)).ranked


def quantizer(recipe):
    return next(p for p in recipe.passes if p.name == "quantize")


def options(name, recipe, ranked=(), target="android", ops=()):
    (knob,) = (k for k in KNOBS if k.name == name)
    found = list(knob.options(State(recipe, load_target(target).rules, frozenset(ops), lambda: ranked)))
    for _, changed in found:
        check_order(changed.passes, changed.name)
        assert Recipe.from_toml(changed.to_toml()) == changed != recipe
    return found


def names(recipe):
    return [p.name for p in recipe.passes]


def test_each_other_calibration_is_tried_once():
    found = options("calibration", load_recipe("int8"))
    assert sorted(quantizer(r).calibration for _, r in found) == [
        "entropy", "minmax", "moving_average", "percentile", "sensitivity",
    ]  # fmt: skip
    assert options("calibration", load_recipe("weight_int8")) == [], "it rounds no activations"


def test_equalization_goes_before_the_grids():
    found = options("equalize", PLAIN)
    assert names(found[0][1]) == ["equalize", "quantize"]
    assert names(options("equalize", load_recipe("int8"))[0][1]) == ["equalize", "quantize", "bias_correction"]


def test_normalizations_are_smoothed_where_the_target_has_them():
    assert names(options("equalize", PLAIN, target="jetson", ops=("layer_norm", "add"))[-1][1]) == ["smooth", "quantize"]
    for target, ops in (("jetson", ("add",)), ("android", ("layer_norm",))):
        assert not any("smooth" in names(recipe) for _, recipe in options("equalize", PLAIN, target=target, ops=ops))


def test_corrections_go_behind_the_grids_and_take_each_others_place():
    ((_, corrected),) = options("bias_correction", PLAIN)
    assert names(corrected) == ["quantize", "bias_correction"]
    assert options("bias_correction", load_recipe("int8")) == []
    ((_, learned),) = options("adaround", load_recipe("int8"))
    assert names(learned) == ["equalize", "quantize", "adaround"]
    assert options("adaround", learned) == []


def test_the_worst_layers_get_wider_with_those_that_read_them(ranked):
    found = options("int16", PLAIN, ranked)
    overrides = [quantizer(r).overrides for _, r in found]
    assert overrides[0] == {CULPRIT: "w8a16", "body": "w8a16"}
    assert all(len(a) <= len(b) for a, b in itertools.pairwise(overrides))
    assert options("int16", PLAIN, ranked, target="jetson") == [], "it has no such kernels"
    assert options("int16", load_recipe("int16x8"), ranked) == []


def test_narrow_weights_get_eight_bits():
    graph = failing_net(1.0)
    narrow = Recipe("w4a8", (Quantize("w4a8", calibration="minmax"),))
    worst = diagnosed(subject(graph, narrow)).ranked
    (first, *_) = options("int8", narrow, worst)
    assert set(quantizer(first[1]).overrides.values()) == {"w8a8"}
    assert options("int8", PLAIN, worst) == [], "they have"


def test_float_is_left_for_what_int16_did_not_help(ranked):
    first = options("float", PLAIN, ranked)[0][1]
    assert quantizer(first).overrides[CULPRIT] == "float32"


def test_cheap_knobs_first_and_of_those_the_ones_named():
    assert [k.name for k in in_order(("equalize", "int16", "float"))] == [
        "equalize", "calibration", "bias_correction", "adaround", "int8", "int16", "float",
    ]  # fmt: skip
    assert [k.tier for k in in_order(())] == sorted(k.tier for k in KNOBS)
