import numpy as np
import pytest

from edgekit.errors import DataError, UsageError
from edgekit.verification.metrics import evaluate

LABELS = np.array([0, 1, 2, 1])
REFERENCE = {"y": np.eye(3)[LABELS]}
ARTIFACT = {"y": np.eye(3)[[0, 1, 2, 0]]}


def test_accuracy_and_its_paired_difference():
    got = evaluate("accuracy", REFERENCE, ARTIFACT, LABELS)
    assert (got.reference.value, got.artifact.value, got.difference.value) == (1.0, 0.75, -0.25)
    assert got.artifact.method == "wilson"
    assert got.difference.method == "newcombe paired"


def test_a_model_that_answers_nan_is_wrong():
    broken = {"y": np.full((4, 3), np.nan)}
    assert evaluate("accuracy", REFERENCE, broken, LABELS).artifact.value == 0
    assert evaluate("top5", REFERENCE, broken, LABELS).artifact.value == 0


def test_the_output_is_named_where_it_must_be():
    two = {"a": REFERENCE["y"], "b": REFERENCE["y"], "box": np.ones((4, 2, 2))}
    with pytest.raises(UsageError, match=r"accuracy:a, accuracy:b"):
        evaluate("accuracy", two, two, LABELS)
    assert evaluate("accuracy:b", two, two, LABELS).artifact.value == 1
    with pytest.raises(UsageError, match="no class scores"):
        evaluate("accuracy:box", two, two, LABELS)


def test_a_number_a_sample():
    got = evaluate(lambda outputs, labels: outputs["y"][:, 0], REFERENCE, ARTIFACT, None)
    assert got.difference.value == pytest.approx(0.25)
    assert got.difference.method == "bootstrap"
    assert got.name == "<lambda>"


def test_one_number():
    def worst(outputs, labels):
        return float(outputs["y"][np.arange(len(labels)), labels].min())

    got = evaluate(worst, REFERENCE, ARTIFACT, LABELS)
    assert (got.reference.value, got.artifact.value, got.difference.value) == (1, 0, -1)
    assert got.difference.low == -1
    assert got.name == "worst"


def test_a_metric_from_a_file(tmp_path):
    (tmp_path / "mine.py").write_text("def right(outputs, labels):\n    return outputs['y'].argmax(1) == labels\n")
    got = evaluate(f"{tmp_path}/mine.py:right", REFERENCE, ARTIFACT, LABELS)
    assert got.artifact.value == 0.75
    assert got.artifact.method == "wilson"


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("acuracy", "unknown metric"),
        ("nowhere:function", "cannot import"),
        ("missing.py:function", "cannot import"),
        (lambda outputs, labels: outputs["z"], "KeyError"),
        (lambda outputs, labels: np.ones((2, 2)), "returned float64 of shape"),
        (lambda outputs, labels: "good", "returned"),
    ],
)
def test_bad_metrics_are_told(metric, message):
    with pytest.raises(UsageError, match=message):
        evaluate(metric, REFERENCE, ARTIFACT, LABELS)


@pytest.mark.parametrize("labels", [None, np.array([0, 1, 2, 3]), np.array([0.0, 1, 2, 1]), np.array([[0, 1, 2, 1]])])
def test_bad_labels_are_told(labels):
    with pytest.raises(DataError, match="labels"):
        evaluate("accuracy", REFERENCE, ARTIFACT, labels)
