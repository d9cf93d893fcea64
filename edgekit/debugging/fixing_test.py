"""Fixing end to end through the fake format: inside the budget, resumable, and honest where it cannot."""

import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgekit import schemas
from edgekit.artifact import Artifact
from edgekit.compress.training import FineTune
from edgekit.compress.training.loop import Training
from edgekit.conversion import convert
from edgekit.data import Samples
from edgekit.debugging import fix, trials
from edgekit.debugging.knobs import KNOBS
from edgekit.debugging.trials import Trial
from edgekit.errors import ConversionError, DataError, EdgekitError, GateFailed, UsageError
from edgekit.graph import aten, call, finish, is_call
from edgekit.preprocess import Preprocess
from edgekit.recipe import Recipe
from edgekit.recipes import load_recipe
from edgekit.testing.failing import CULPRIT, PLAIN, answered, failing_module, failing_net
from edgekit.testing.fake_target import fake_target

TARGET = fake_target()


@pytest.fixture(scope="module")
def graph():
    return failing_net()


@pytest.fixture(scope="module")
def data(graph):
    return answered(graph)


@pytest.fixture
def artifact(graph, data, tmp_path):
    return convert(graph, TARGET, recipe=PLAIN, calibration=data, out=tmp_path / "a", labels=("a", "b", "c", "d", "e", "f"))


@pytest.fixture
def conversions(monkeypatch):
    """The recipes converted with, in order."""
    seen = []

    def counted(*args, recipe, **options):
        seen.append(recipe)
        return convert(*args, recipe=recipe, **options)

    monkeypatch.setattr(trials, "convert", counted)
    return seen


def test_the_knob_that_the_finding_names_brings_it_inside(artifact, graph, data):
    found = fix(artifact, graph, data=data, calibration=data, max_drop=0.02, target=TARGET, test=answered(graph, 40, seed=5))
    first, *_ = found.trials
    assert first.knob == "" and first.drop > 0.1 and first.model_sha256 == artifact.manifest.model_sha256
    assert found.passed and found.require() is found
    assert found.best.knob == "equalize" and found.best.drop <= 0.02 and len(found.trials) == 2
    assert found.best.low <= found.best.drop <= found.best.high
    assert found.test.samples == 40 and found.test_drop <= 0.02
    made = Artifact.load(found.artifact.path)
    assert made.path == artifact.path.with_name("a-fixed")
    assert made.manifest.model_sha256 == found.best.model_sha256, "converting again gives the same file"
    assert Recipe.from_toml(made.recipe_text).to_toml() == found.best.recipe
    assert made.manifest.labels == artifact.manifest.labels and made.manifest.evidence["gates"][-1]["name"] == "max_drop"


def test_the_record_is_valid_and_complete(artifact, graph, data):
    found = fix(artifact, graph, data=data, calibration=data, max_drop=0.02, target=TARGET)
    document = json.loads(found.record.read_text())
    schemas.validate(document, "fix-1", "it")
    assert document["passed"] and document["best"] == 1 and document["artifact"] == str(found.artifact.path)
    assert [Trial.from_json(row) for row in document["trials"]] == list(found.trials)


def test_an_interrupted_fix_goes_on_where_it_was(artifact, graph, data, conversions, monkeypatch):
    useless_first = sorted((k for k in KNOBS if k.name in ("bias_correction", "equalize")), key=lambda k: k.name)
    monkeypatch.setattr("edgekit.debugging.fixing.in_order", lambda named: useless_first)
    options = {"data": data, "calibration": data, "max_drop": 0.02, "target": TARGET, "out": artifact.path.with_name("b")}
    whole = fix(artifact, graph, **options | {"out": artifact.path.with_name("c")})
    assert len(whole.trials) > 2, "one knob is not enough for this"
    tried = len(conversions)
    conversions.clear()

    def stopping(*args, **kwargs):
        if len(conversions) == 1:
            raise KeyboardInterrupt
        conversions.append(kwargs["recipe"])
        return convert(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(trials, "convert", stopping)
        with pytest.raises(KeyboardInterrupt):
            fix(artifact, graph, **options)
    assert not options["out"].exists()
    again = fix(artifact, graph, **options)
    assert again.trials == whole.trials and again.best == whole.best
    assert len(conversions) == tried, "the one before the interruption was not made again"
    made = len(conversions)
    fix(artifact, graph, **options, overwrite=True)
    assert len(conversions) == made + 1, "a finished fix converts the result only"


def test_what_the_vendor_wrote_is_tried_by_the_vendor(artifact, graph, data, monkeypatch):
    manifest = artifact.path / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"emitter": "vendor"}))
    seen = []

    def refused(*args, emitter, **options):
        seen.append(emitter)
        raise ConversionError("not this one")

    monkeypatch.setattr(trials, "convert", refused)
    with suppress(EdgekitError):
        fix(artifact.path, graph, data=data, calibration=data, max_drop=0.02, target=TARGET)
    assert seen and set(seen) == {"vendor"}


def test_a_budget_that_nothing_meets_is_said_to_be_missed(artifact, graph, data, monkeypatch):
    monkeypatch.setattr("edgekit.debugging.fixing.in_order", lambda named: ())
    found = fix(artifact, graph, data=data, calibration=data, max_drop=0.0, target=TARGET)
    assert not found.passed and found.artifact.path == artifact.path and not artifact.path.with_name("a-fixed").exists()
    with pytest.raises(GateFailed, match="no knob"):
        found.require()


def test_the_worst_layers_get_wider_where_nothing_cheaper_helps(artifact, graph, data, monkeypatch):
    monkeypatch.setattr("edgekit.debugging.fixing.in_order", lambda named: [k for k in KNOBS if k.name in ("int16", "float")])
    found = fix(artifact, graph, data=data, calibration=data, max_drop=0.02, target=TARGET)
    refused, wide, *_ = found.trials[1:]
    assert "asked for as int8" in refused.failure and refused.change == "body, stem as w8a16"
    assert wide.change == "body, stem as w8a16, floats in and out" and wide.drop < found.trials[0].drop
    assert found.passed and {s.dtype for s in found.artifact.manifest.inputs} == {"float32"}


def test_inside_from_the_start(graph, data, tmp_path):
    artifact = convert(graph, TARGET, recipe=load_recipe("int8"), calibration=data, out=tmp_path / "a")
    found = fix(artifact, graph, data=data, calibration=data, max_drop=0.1, target=TARGET)
    assert found.passed and len(found.trials) == 1 and found.artifact.path == artifact.path


def test_a_trial_that_cannot_be_converted_is_kept_as_a_failure(artifact, graph, data, monkeypatch):
    def failing(*args, recipe, **options):
        if any(p.name == "equalize" for p in recipe.passes):
            raise ConversionError("not this one")
        return convert(*args, recipe=recipe, **options)

    monkeypatch.setattr(trials, "convert", failing)
    monkeypatch.setattr("edgekit.debugging.fixing.in_order", lambda named: [k for k in KNOBS if k.name in ("equalize", "float")])
    found = fix(artifact, graph, data=data, calibration=data, max_drop=0.02, target=TARGET)
    assert [t.failure for t in found.trials[1:3]] == ["not this one"] * 2
    assert found.passed and found.best.failure is None
    schemas.validate(json.loads(found.record.read_text()), "fix-1", "it")


def test_loss_on_other_data_counts(artifact, graph, data):
    found = fix(artifact, graph, data=data, calibration=data, max_drop=0.02, target=TARGET, test=answered(graph, 30, seed=9))
    assert replace(found, test=None).passed
    drop = replace(found.test.metric.difference, value=-0.5)
    failing = replace(found, test=replace(found.test, metric=replace(found.test.metric, difference=drop)))
    with pytest.raises(GateFailed, match="test data"):
        failing.require()


def test_a_record_of_something_else_is_left_alone(artifact, graph, data):
    fix(artifact, graph, data=data, calibration=data, max_drop=0.02, target=TARGET)
    other = answered(graph, 50, seed=3)
    with pytest.raises(UsageError, match="another fix"):
        fix(artifact, graph, data=other, calibration=data, max_drop=0.02, target=TARGET, overwrite=True)
    artifact.path.with_name("a-fixed.trials.json").write_text("{")
    with pytest.raises(UsageError, match="in the way"):
        fix(artifact, graph, data=data, calibration=data, max_drop=0.02, target=TARGET, overwrite=True)


def test_a_trained_artifact_is_trained_again_and_once_only(graph, data, tmp_path, monkeypatch):
    step = FineTune(epochs=1, learning_rate=1e-4, batch_norm=False)
    recipe = Recipe("trained", (step, *PLAIN.passes))
    artifact = convert(graph, TARGET, recipe=recipe, calibration=data, training=data, out=tmp_path / "a")
    steps = []
    monkeypatch.setattr(Training, "_step", lambda self, take=Training._step: (steps.append(self), take(self)))
    found = fix(artifact, graph, data=data, calibration=data, training=data, max_drop=0.02, target=TARGET)
    assert found.passed and found.best.knob == "equalize" and len(found.trials) == 2
    assert [p.name for p in Recipe.from_toml(found.best.recipe).passes] == ["fine_tune", "equalize", "quantize"]
    assert len({id(training) for training in steps}) == 1, "the look trained, the trial and the result went on from its end"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a-fixed", "a-fixed.trials.json"], "states of trainings are gone"
    with pytest.raises(UsageError, match="another fix"):
        fix(artifact, graph, data=data, calibration=data, training=answered(graph, 80), max_drop=0.02, target=TARGET, overwrite=True)


def test_states_of_trainings_outlive_an_interruption(graph, data, tmp_path, monkeypatch):
    recipe = Recipe("trained", (FineTune(epochs=1, batch_norm=False), *PLAIN.passes))
    artifact = convert(graph, TARGET, recipe=recipe, calibration=data, training=data, out=tmp_path / "a")
    monkeypatch.setattr("edgekit.debugging.fixing._search", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    for checkpoints, states in ((None, "a-fixed.states"), (tmp_path / "mine", "mine")):
        with pytest.raises(KeyboardInterrupt):
            fix(artifact, graph, data=data, calibration=data, training=data, max_drop=0, target=TARGET, checkpoints=checkpoints)
        assert list((tmp_path / states).glob("fine_tune-*.safetensors"))


@pytest.mark.parametrize("last", [False, True], ids=["NCHW", "NHWC"])
def test_a_file_that_takes_pictures_stays_one(graph, tmp_path, last):
    step = Preprocess(scale=1 / 64, mean=(2.0,), layout=None if last else "NCHW")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
    model = channels_last(graph) if last else graph
    ready = Samples({"x0": step(pixels)})
    data = (pixels, np.array([int(model(torch.from_numpy(x[None]))[0].argmax()) for x in ready.inputs["x0"]]))
    target = replace(TARGET, images=True)
    artifact = convert(model, target, recipe=PLAIN, calibration=data, preprocess=step, images=True, out=tmp_path / "a")
    assert artifact.manifest.inputs[0].shape == (1, 3, 8, 8)
    found = fix(artifact, model, data=data, calibration=data, max_drop=0.02, target=target)
    assert found.trials[0].drop > 0.1 and found.passed and found.diagnosis.ranked[0].name == CULPRIT
    assert found.diagnosis.file.sqnr_db > 40, "the look was made of the same pixels"
    made = found.artifact.manifest
    assert (made.images, made.preprocess, made.inputs[0].shape) == (artifact.manifest.images, artifact.manifest.preprocess, (1, 3, 8, 8))


def channels_last(graph):
    """The same network for images whose channels are last."""
    result = graph.copy()
    image, first = result.nodes[0], next(n for n in result.nodes if is_call(n))
    image.meta["val"] = image.meta["val"].permute(0, 2, 3, 1).contiguous()
    first.replace_input_with(image, call(first, aten.permute.default, image, [0, 3, 1, 2], like=image))
    finish(result.module)
    return replace(result, inputs=(replace(graph.inputs[0], shape=(1, 8, 8, 3)),))


@pytest.mark.slow
def test_a_file_that_takes_any_batch_stays_one(graph, data, tmp_path):
    pytest.importorskip("onnxruntime")
    artifact = convert(graph, "jetson", recipe=PLAIN, calibration=data, batches=(1, 2, 8), out=tmp_path / "a")
    assert artifact.manifest.batches == (1, 2, 8) == Artifact.load(artifact.path).manifest.batches
    found = fix(artifact, graph, data=data, calibration=data, max_drop=0.02)
    assert found.passed and found.best.knob == "equalize"
    assert found.artifact.manifest.batches == (1, 2, 8) and found.artifact.manifest.build == artifact.manifest.build


@pytest.mark.slow
def test_a_file_that_takes_any_size_stays_one(graph, data, tmp_path):
    pytest.importorskip("ai_edge_litert")
    module, inputs = failing_module()
    sizes = {"x0": {2: (8, 8, 12, 4)}}
    artifact = convert(module, example_inputs=inputs, dims=sizes, recipe=PLAIN, calibration=data, out=tmp_path / "a")
    assert artifact.manifest.open_sizes
    found = fix(artifact, module, data=data, calibration=data, max_drop=0.02)
    assert found.passed and found.best.knob == "equalize"
    assert found.artifact.manifest.open_sizes == artifact.manifest.open_sizes


def test_a_metric_of_ones_own_takes_labels_of_any_shape(artifact, graph, data):
    answers = np.concatenate([graph(torch.from_numpy(image[None]))[0].numpy() for image in data.inputs["x0"]])

    def nearness(outputs, labels):
        return -np.abs(outputs["y0"] - labels).mean(1)

    found = fix(artifact, graph, data=(data.inputs["x0"], answers), calibration=data, max_drop=0.5, metric=nearness, target=TARGET)
    assert found.trials[0].drop > 0.5 and found.passed and found.best.knob == "equalize"


def test_what_cannot_be_fixed(artifact, graph, data, tmp_path):
    with pytest.raises(UsageError, match="max_drop"):
        fix(artifact, graph, data=data, max_drop=1.5, target=TARGET)
    with pytest.raises(DataError, match="metric"):
        fix(artifact, graph, data=replace(data, labels=None), max_drop=0.1, target=TARGET)
    tables = convert(graph, TARGET, recipe=load_recipe("palettize4_grouped"), out=tmp_path / "t")
    with pytest.raises(UsageError, match="no knobs"):
        fix(tables, graph, data=data, max_drop=0.1, target=TARGET)
    (tmp_path / "a-fixed").mkdir()
    with pytest.raises(UsageError, match="there already"):
        fix(artifact, graph, data=data, max_drop=0.1, target=TARGET)
