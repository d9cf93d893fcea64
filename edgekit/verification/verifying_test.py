"""Verification end to end through the fake format."""

import numpy as np
import pytest
import torch

from edgekit import schemas
from edgekit.artifact import Artifact
from edgekit.compress.quantize import Quantize
from edgekit.conversion import convert
from edgekit.data import Samples
from edgekit.errors import DataError, GateFailed, UsageError
from edgekit.graph import aten
from edgekit.preprocess import Preprocess
from edgekit.recipe import Recipe
from edgekit.testing.fake_target import fake_target
from edgekit.testing.graphs import graph_of
from edgekit.verification import verify

INT8 = Recipe("int8", (Quantize("w8a8", calibration="minmax"),))
HALVED = Preprocess(scale=0.5)


def classify(x, w, b):
    return aten.linear.default(x, w, b)


def graph(seed=0):
    torch.manual_seed(seed)
    return graph_of(classify, [torch.zeros(1, 8)], "net", w=torch.randn(4, 8), b=torch.randn(4))


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    labels = graph()(torch.from_numpy(x))[0].argmax(1).numpy()
    labels[:30] = (labels[:30] + 1) % 4
    return Samples({"x0": x}, labels)


@pytest.fixture
def artifact(data, tmp_path):
    return convert(graph(), fake_target(), recipe=INT8, calibration=data.inputs["x0"][:100], out=tmp_path / "a")


def test_the_model_and_the_artifact_on_the_same_samples(artifact, data):
    verdict = verify(artifact, graph(), data=data)
    assert (verdict.reference, verdict.samples, verdict.runtime) == ("source", 300, "fake")
    (parity,) = verdict.parity
    assert parity.cosine > 0.999
    assert 25 < parity.sqnr_db < 70
    assert verdict.metric.reference.value == 0.9
    assert abs(verdict.metric.difference.value) < 0.02
    assert verdict.metric.difference.low < verdict.metric.difference.value < verdict.metric.difference.high
    assert verdict.passed


def test_the_verdict_goes_into_the_manifest(artifact, data):
    verdict = verify(artifact.path, graph(), data=data, max_drop=0.05)
    evidence = Artifact.load(artifact.path).manifest.evidence
    assert evidence == verdict.to_json()
    schemas.validate(evidence, "verdict-1", "it")


def test_nothing_is_recorded_where_that_is_asked(artifact):
    verify(artifact, record=False)
    assert Artifact.load(artifact.path).manifest.evidence is None


def test_gates_fail_and_are_recorded_so(artifact, data):
    verdict = verify(artifact, graph(), data=data, min_accuracy=0.99)
    with pytest.raises(GateFailed, match="min_accuracy"):
        verdict.require()
    assert Artifact.load(artifact.path).manifest.evidence["passed"] is False


def test_without_a_model_the_kept_outputs_serve(artifact, data):
    verdict = verify(artifact)
    assert (verdict.reference, verdict.samples) == ("golden", 4)
    assert any("not at hand (--model names it)" in note for note in verdict.notes)
    labelled = verify(artifact, data=data, min_accuracy=0.8)
    assert labelled.passed
    assert (labelled.samples, labelled.metric.reference, labelled.metric.difference) == (300, None, None)
    with pytest.raises(DataError, match="max_drop"):
        verify(artifact, data=data, max_drop=0.01)


def test_another_model_is_told_apart(artifact, data):
    verdict = verify(artifact, graph(1), data=data)
    assert verdict.parity[0].cosine < 0.9
    other = graph_of(classify, [torch.zeros(1, 9)], "net", w=torch.randn(4, 9), b=torch.randn(4))
    with pytest.raises(UsageError, match="inputs"):
        verify(artifact, other)


def test_data_go_through_the_preprocessing_the_artifact_declares(data, tmp_path):
    made = convert(graph(), fake_target(), recipe=INT8, calibration=data.inputs["x0"][:100] * 2, preprocess=HALVED, out=tmp_path / "b")
    raw = {"x0": data.inputs["x0"] * 2, "y": data.labels}
    assert verify(made, graph(), data=raw).metric.reference.value == 0.9


def test_a_metric_of_the_users_own(artifact, data):
    def margin(outputs, labels):
        return np.sort(outputs["y0"], axis=1)[:, -1] - np.sort(outputs["y0"], axis=1)[:, -2]

    verdict = verify(artifact, graph(), data=data.inputs["x0"], metric=margin, max_drop=0.1)
    assert verdict.passed
    assert verdict.metric.name == "margin"


def test_a_metric_of_the_users_own_takes_labels_of_any_shape(artifact, data):
    def distance(outputs, labels):
        return -np.abs(outputs["y0"] - labels).mean(1)

    targets = np.random.default_rng(0).normal(size=(len(data.labels), 4)).astype(np.float32)
    given = (data.inputs["x0"], targets)
    assert verify(artifact, graph(), data=given, metric=distance).metric.reference.value < 0
    with pytest.raises(DataError, match="class indices"):
        verify(artifact, graph(), data=given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "f2"}, "unknown metric"),
        ({"runtime": "nowhere"}, "no runtime is called"),
        ({"runtime": "litert"}, "does not execute"),
        ({"min_accuracy": 0.5}, "labels"),
        ({"data": np.zeros((3, 7), np.float32)}, "shape"),
        ({"data": np.full((3, 8), np.nan, np.float32)}, "nan"),
    ],
)
def test_bad_options_are_told(artifact, options, message):
    with pytest.raises(UsageError, match=message):
        verify(artifact, graph(), **{"data": np.zeros((3, 8), np.float32)} | options)


def test_a_damaged_artifact_is_refused(artifact):
    artifact.model_file.write_bytes(b"")
    with pytest.raises(UsageError, match="bytes"):
        verify(artifact.path)
