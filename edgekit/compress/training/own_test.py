"""Loss and metric of the user's own: what they get, what they may give, and that trainings follow them."""

import dataclasses

import numpy as np
import pytest
import torch

from edgekit.compress.training import FineTune
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.recipe import Context
from edgekit.testing.quantizing import RULES, data
from edgekit.testing.training import classifier, context, regression, stripes

X = data((6,), count=200).inputs["x0"]
TARGETS = Samples({"x0": X}, np.tanh(X[:, ::-1]).astype(np.float32).copy())
STEP = FineTune(epochs=40, learning_rate=0.02, held_out=0.2)


def output(graph) -> str:
    return graph.outputs[0].name


def distance(outputs, labels):
    (found,) = outputs.values()
    return (found - labels).square().mean()


def closeness(outputs, labels):
    (found,) = outputs.values()
    return -np.square(found - labels).mean(1)


def test_a_regression_learns_targets_of_any_shape_by_a_loss_of_its_own():
    graph = regression()
    tuned = STEP(graph, Context(RULES, training=TARGETS, loss=distance, metric=closeness))
    x = torch.from_numpy(data((6,), count=1, seed=9).inputs["x0"])
    wanted = torch.tanh(x.flip(1))
    assert float((tuned(x)[0] - wanted).square().mean()) < 0.2 * float((graph(x)[0] - wanted).square().mean())
    assert "closeness -" in tuned.notes[-1] and "after on 40 validation samples" in tuned.notes[-1]


@pytest.mark.parametrize("softmax", [False, True])
def test_functions_get_outputs_by_name_as_the_model_gives_them(softmax):
    graph, seen = classifier(softmax=softmax), []

    def loss(outputs, labels):
        assert list(outputs) == [output(graph)] and labels.dtype == torch.int64 and labels.shape == (len(outputs[output(graph)]),)
        seen.append(outputs[output(graph)].detach())
        return torch.nn.functional.nll_loss(seen[-1] * 0 + outputs[output(graph)], labels)

    def metric(outputs, labels):
        assert isinstance(labels, np.ndarray) and outputs[output(graph)].shape == (24, 4)
        return (outputs[output(graph)].argmax(1) == labels).astype(bool)

    tuned = FineTune(epochs=1, batch_norm=False, held_out=0.25)(graph, context(loss=loss, metric=metric))
    assert all(torch.allclose(t.sum(1), torch.ones(len(t))) for t in seen) == softmax
    assert "metric " in tuned.notes[-1]


def test_the_best_epoch_is_the_one_that_the_metric_likes_best():
    graph, asked = classifier(), []

    def third(outputs, labels):
        asked.append(len(asked))
        return float("nan") if asked[-1] == 1 else 10.0 - abs(asked[-1] - 3)

    tuned = FineTune(epochs=5)(graph, context(metric=third))
    assert "epoch 3 kept: third 7.0000 before, 10.0000 after" in tuned.notes[-1]


def test_a_loss_of_ones_own_mixes_with_a_teachers():
    calls = []

    def loss(outputs, labels):
        calls.append(labels)
        return outputs[next(iter(outputs))].square().mean()

    step = FineTune(epochs=1, losses={"own": 0.5, "soft": 1.0})
    step(classifier(), context(dataclasses.replace(stripes(), labels=None), teacher=classifier(seed=3), loss=loss))
    assert calls and all(labels is None for labels in calls)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda outputs, labels: 1 / 0, "loss '<lambda>' failed: ZeroDivisionError: division by zero"),
        (lambda outputs, labels: 0.5, "gave a float"),
        (lambda outputs, labels: next(iter(outputs.values())), r"gave a tensor of shape \[32, 4\]"),
        (lambda outputs, labels: torch.zeros(()), r"gave a tensor of shape \[\] without gradients"),
    ],
)
def test_what_is_no_loss_is_told(loss, message):
    with pytest.raises(UsageError, match=message):
        FineTune(epochs=1, held_out=0.0)(classifier(), context(loss=loss))


@pytest.mark.parametrize(
    ("metric", "message"), [(lambda outputs, labels: outputs["none"], "KeyError"), (lambda outputs, labels: "good", "gave a str")]
)
def test_what_is_no_metric_is_told(metric, message):
    with pytest.raises(UsageError, match=message):
        FineTune(epochs=1)(classifier(), context(metric=metric))


def test_a_loss_that_is_not_given_and_labels_that_would_be_blended_are_refused():
    with pytest.raises(DataError, match="none is given"):
        FineTune(epochs=1, losses={"own": 1.0})(classifier(), context())
    with pytest.raises(UsageError, match="mixup"):
        FineTune(epochs=1, augment=("mixup",))(classifier(), context(loss=distance))
    with pytest.raises(DataError, match="needs labels"):
        FineTune(epochs=1, losses={"labels": 1.0})(regression(), Context(RULES, training=TARGETS))


def test_another_loss_starts_anew(tmp_path):
    def loss(outputs, labels):
        return distance(outputs, labels)

    first = loss

    def loss(outputs, labels):
        return 2 * distance(outputs, labels)

    for function in (first, loss, first):
        FineTune(epochs=1)(regression(), Context(RULES, training=TARGETS, loss=function, checkpoints=tmp_path))
    assert len(list(tmp_path.iterdir())) == 2
