"""The pass as a whole: what it learns, what it keeps, what it refuses."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from edgekit import constraints
from edgekit.compress.cluster import Cluster
from edgekit.compress.prune import Prune
from edgekit.compress.training import FineTune
from edgekit.constraints import Codebook, Constraint, Mask
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph, constant_value, constrain, constraints_of, grid_of
from edgekit.recipe import Context, Recipe
from edgekit.testing.quantizing import RULES, data, quantized, small_net
from edgekit.testing.training import classifier, context, regression, stripes


def accuracy(graph: Graph, samples: Samples) -> float:
    answers = [int(graph(torch.from_numpy(x[None]))[0].argmax()) for x in samples.inputs["x0"]]
    return float((np.array(answers) == samples.labels).mean())


def weight(graph: Graph, name: str = "w2"):
    """The node of a weight, whatever passes have appended to its name."""
    (node,) = [n for n in graph.nodes if n.op == "get_attr" and re.fullmatch(rf"{name}(_\d+)*", n.target)]
    return node


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_learns_labels_and_generalises(optimizer, batch_norm):
    graph = classifier()
    tuned = FineTune(epochs=12, batch_size=16, learning_rate=0.01, optimizer=optimizer, batch_norm=batch_norm, held_out=0.2)(
        graph, context(stripes(200))
    )
    unseen = stripes(100, seed=1)
    assert accuracy(graph, unseen) < 0.5
    assert accuracy(tuned, unseen) > 0.85
    assert any(note.startswith("fine-tuned: 12 epochs of 160 samples, epoch ") for note in tuned.notes)


def test_the_graph_it_was_given_stays():
    graph = classifier()
    before = [t.clone() for t in graph.module.state_dict().values()]
    FineTune(epochs=1)(graph, context())
    assert all(torch.equal(a, b) for a, b in zip(before, graph.module.state_dict().values(), strict=True))


def test_no_step_is_no_change():
    graph, samples = classifier(), stripes(40)
    tuned = FineTune(seconds=1e-9)(graph, context(samples))
    x = torch.from_numpy(samples.inputs["x0"][:1])
    torch.testing.assert_close(tuned(x)[0], graph(x)[0], rtol=1e-4, atol=1e-5)
    assert "0 epochs" in tuned.notes[-1]


def test_imitates_a_teacher_without_labels():
    teacher = FineTune(epochs=10, batch_size=16, learning_rate=0.01)(classifier(), context(stripes(200)))
    unlabelled = dataclasses.replace(stripes(200, seed=3), labels=None)
    student = classifier(seed=20)
    tuned = FineTune(epochs=10, batch_size=16, learning_rate=0.01)(student, context(unlabelled, teacher=teacher))
    unseen = stripes(100, seed=4)
    assert accuracy(tuned, unseen) > 0.8 > accuracy(student, unseen)


def test_a_softmax_at_the_end_makes_no_difference_to_what_is_learned():
    logits, probabilities = (FineTune(epochs=2, batch_norm=False)(classifier(softmax=s), context()) for s in (False, True))
    x = torch.from_numpy(stripes(1).inputs["x0"])
    torch.testing.assert_close(logits(x)[0].softmax(1), probabilities(x)[0], rtol=1e-3, atol=1e-4)


def test_regression_imitates_outputs():
    teacher, student = regression(), regression(seed=7)
    tuned = FineTune(epochs=40, learning_rate=0.02, batch_size=32)(student, context(data((6,), count=200), teacher=teacher))
    x = torch.from_numpy(data((6,), count=1, seed=9).inputs["x0"])
    assert float((tuned(x)[0] - teacher(x)[0]).square().mean()) < 0.05 * float((student(x)[0] - teacher(x)[0]).square().mean())


def test_an_autoencoder_learns_its_inputs():
    samples = data((6,), count=200)
    samples.inputs["x0"][:, 3:] = samples.inputs["x0"][:, :3]  # three numbers to remember
    samples = Samples({"x0": np.tanh(samples.inputs["x0"])})
    tuned = FineTune(epochs=60, learning_rate=0.02, losses={"inputs": 1.0}, batch_size=32)(regression(), context(samples))
    x = torch.from_numpy(samples.inputs["x0"][:1])
    assert float((tuned(x)[0] - x).square().mean()) < 0.1 * float(x.square().mean())


def test_pruned_elements_stay_zero():
    pruned = Prune(sparsity=0.6)(classifier(), Context(RULES))
    tuned = FineTune(epochs=3, learning_rate=0.02, weight_decay=0.01)(pruned, context())
    for name in ("w1", "w2", "w3"):
        (mask,) = constraints_of(weight(tuned, name))
        assert isinstance(mask, Mask) and mask.holds(constant_value(weight(tuned, name)))
        assert torch.equal(mask.kept, constraints_of(weight(pruned, name))[0].kept)
    assert not torch.equal(constant_value(weight(tuned)), constant_value(weight(pruned)))


@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_tables_train_while_assignments_stay(sparsity):
    graph = Prune(sparsity=sparsity)(classifier(), Context(RULES)) if sparsity else classifier()
    clustered = Cluster(bits=3)(graph, Context(RULES))
    tuned = FineTune(epochs=8, batch_size=16, learning_rate=0.01)(clustered, context(stripes(200)))
    before, after = (constant_value(weight(g)) for g in (clustered, tuned))
    codebook = next(c for c in constraints_of(weight(tuned)) if isinstance(c, Codebook))
    assert all(c.holds(after) for c in constraints_of(weight(tuned)))
    assert not torch.equal(before, after) and len(after.unique()) <= 8 + (sparsity > 0)
    for value in before.unique():  # whatever shared an entry shares one still
        assert len(after[before == value].unique()) == 1
    assert torch.equal(codebook.tables, codebook.tables.half().float())
    assert accuracy(tuned, stripes(100, seed=1)) > accuracy(clustered, stripes(100, seed=1))


@pytest.mark.parametrize("scales", [True, False])
def test_quantization_aware_training(scales):
    graph = FineTune(epochs=12, batch_size=16, learning_rate=0.01)(classifier(), context(stripes(200)))
    rounded = quantized(graph, stripes(60), scheme="w8a8")
    damaged = rounded.copy()
    with torch.no_grad():
        constant_value(weight(damaged, "w3")).mul_(-1)  # something to repair
    tuned = FineTune(epochs=6, learning_rate=0.01, scales=scales)(damaged, context(stripes(200), teacher=graph))
    before, after = ([grid_of(n) for n in g.nodes if grid_of(n)] for g in (damaged, tuned))
    assert len(before) == len(after) and (before == after) != scales
    assert [(g.dtype, g.zero_point, g.axis) for g in before] == [(g.dtype, g.zero_point, g.axis) for g in after]
    assert before[0] == after[0]  # the input's
    unseen = stripes(100, seed=1)
    assert accuracy(damaged, unseen) < 0.5 and accuracy(tuned, unseen) > accuracy(graph, unseen) - 0.06


@dataclasses.dataclass(frozen=True, eq=False)
class Signs(Constraint):
    """A kind that training does not know: all elements have one magnitude."""

    kind = "signs"
    scalable = True

    def project(self, tensor):
        return tensor.sign() * tensor.abs().mean() if len(tensor.abs().unique()) > 1 else tensor

    def after(self, change, weight, value):
        return Signs(weight)


def test_a_constraint_of_another_kind_is_projected_at_each_step(monkeypatch):
    monkeypatch.setattr(constraints, "ORDER", (*constraints.ORDER, Signs))
    graph = classifier()
    node = weight(graph)
    with torch.no_grad():
        constant_value(node).copy_(constant_value(node).sign() * 0.25)
    constrain(node, Signs(str(node.target)))
    tuned = FineTune(epochs=8, batch_size=16, learning_rate=0.05, batch_norm=False)(graph, context())
    value = constant_value(weight(tuned))
    assert len(value.abs().unique()) == 1 and not torch.equal(value.sign(), constant_value(node).sign())


def test_frozen_modules_stay():
    graph = classifier()
    with pytest.raises(UsageError, match="no weights to train"):
        FineTune(frozen=("net",))(graph, context())
    with pytest.raises(UsageError, match="nett"):
        FineTune(frozen=("nett",))(graph, context())
    for node in graph.nodes:
        node.meta["module_path"] = "head" if "linear" in node.name else "stem"
    tuned = FineTune(epochs=1, frozen=("stem",))(graph, context())
    stays = [torch.equal(constant_value(weight(graph, name)), constant_value(weight(tuned, name))) for name in ("w1", "b1", "w2", "w3")]
    assert stays == [True, True, True, False]


def test_batches_of_one_are_not_normalized():
    tuned = FineTune(epochs=1, batch_size=1)(classifier(), context(stripes(6)))
    assert constant_value(weight(tuned)).isfinite().all()


@pytest.mark.parametrize("checked", [stripes(8), dataclasses.replace(stripes(8), labels=None)])
@pytest.mark.parametrize("trained", [stripes(16), dataclasses.replace(stripes(16), labels=None)])
@pytest.mark.parametrize("losses", [{}, {"outputs": 1.0}, {"hard": 1.0}])
def test_labels_may_be_missing_on_either_side(trained, checked, losses):
    given = context(trained, validation=checked, teacher=classifier(seed=3))
    (note,) = FineTune(epochs=1, losses=losses)(classifier(), given).notes
    # Labels tell what is right, or the teacher does where the loss is of classes; else the loss tells which epoch is best.
    assert ("accuracy" in note) == (checked.labels is not None or losses == {"hard": 1.0})


def test_features_are_learned_through_a_projection():
    graph, wide = small_net(), small_net()
    for node in graph.nodes:
        node.meta["module_path"] = node.name
    for node in wide.nodes:
        node.meta["module_path"] = "trunk"
    samples = data((3, 8, 8), count=40)
    step = FineTune(epochs=3, features={"convolution_default": "trunk"}, losses={"features": 1.0}, held_out=0.5)
    with pytest.raises(UsageError, match="cannot be compared"):
        step(graph, context(samples, teacher=wide))
    step = FineTune(
        epochs=3, learning_rate=0.01, features={"linear_default": "trunk"}, losses={"features": 1.0, "outputs": 0.5}, held_out=0.5
    )
    tuned = step(graph, context(samples, teacher=wide))
    assert "loss" in tuned.notes[-1]
    with pytest.raises(UsageError, match="no modules"):
        step(graph, context(samples, teacher=lambda x: x))
    with pytest.raises(UsageError, match="did you mean 'convolution_default'"):
        FineTune(features={"convolutio": "trunk"}, losses={"features": 1.0})(graph, context(samples, teacher=wide))


def test_l1_drives_weights_to_zero():
    plain, sparse = (FineTune(epochs=15, batch_size=16, learning_rate=0.01, l1=factor)(classifier(), context()) for factor in (0.0, 0.1))
    small = [float((constant_value(weight(g, "w3")).abs() < 0.02).float().mean()) for g in (plain, sparse)]
    assert small[1] > small[0] + 0.3


def test_a_loss_that_is_not_finite_stops_and_the_best_is_kept():
    graph = classifier()
    tuned = FineTune(epochs=5, optimizer="sgd", learning_rate=1e18, momentum=0.0, batch_norm=False, warmup=0.0)(graph, context())
    assert any(note.startswith("training stopped in epoch 1: the loss was not finite") for note in tuned.notes)
    assert torch.equal(constant_value(weight(tuned)), constant_value(weight(graph)))


def test_the_best_epoch_is_kept_not_the_last():
    graph = FineTune(epochs=12, batch_size=16, learning_rate=0.01)(classifier(), context(stripes(200)))
    samples = stripes(60, seed=1)
    wrong = dataclasses.replace(stripes(60), labels=(stripes(60).labels + 1) % 4)
    given = context(wrong, validation=samples)
    best, last = (FineTune(epochs=5, learning_rate=0.02, keep=keep)(graph, given) for keep in ("best", "last"))
    unseen = stripes(100, seed=2)
    assert accuracy(best, unseen) > accuracy(last, unseen)
    assert accuracy(best, samples) >= accuracy(graph, samples) and "epoch 5 kept" in last.notes[-1]


def test_the_same_seed_gives_the_same_bits():
    step = FineTune(epochs=2, augment=("flip", "shift", "mixup"))
    first, second = (step(classifier(), context()) for _ in range(2))
    other = dataclasses.replace(step, seed=1)(classifier(), context())
    assert torch.equal(constant_value(weight(first)), constant_value(weight(second)))
    assert not torch.equal(constant_value(weight(first)), constant_value(weight(other)))


def test_a_recipe_holds_all_options():
    step = FineTune(epochs=3, losses={"soft": 0.5, "features": 1.0}, features={"a.b": "a.b"}, augment=("flip",), frozen=("stem",))
    recipe = Recipe("mine", (step,))
    assert Recipe.from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epochs": 0}, "epochs"),
        ({"seconds": 0.0}, "seconds"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"held_out": 1.0}, "held_out"),
        ({"optimizer": "lion"}, "lion"),
        ({"augment": ("rotate",)}, "rotate"),
        ({"losses": {"soft": 0.0}}, "soft"),
        ({"losses": {"softmax": 1.0}}, "softmax"),
        ({"features": {"a": "b"}}, "features"),
        ({"device": "tpu"}, "tpu"),
    ],
)
def test_options_that_are_refused(options, told):
    with pytest.raises(UsageError, match=told):
        FineTune(**options)


def labelled(labels) -> Samples:
    return dataclasses.replace(stripes(8), labels=np.array(labels))


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        (Context(RULES), {}, "no"),
        (context(data((3, 8, 8), count=8)), {}, "neither labels nor a teacher"),
        (context(data((3, 8, 8), count=8)), {"losses": {"labels": 1.0}}, "labels"),
        (context(stripes(8)), {"losses": {"soft": 1.0}}, "there is none"),
        (context(data((3, 9, 8), count=8)), {}, "shape"),
        (context(labelled([0, 1, 2, 3, 4, 0, 0, 0])), {}, "4, and the model has 4"),
        (context(stripes(1)), {}, "one sample"),
    ],
)
def test_data_that_are_refused(given, options, told):
    with pytest.raises(DataError, match=told):
        FineTune(**options)(classifier(), given)


def test_what_a_model_cannot_learn_is_refused():
    teacher = regression()
    given = context(data((6,), count=8), teacher=teacher)
    with pytest.raises(UsageError, match="classes"):
        FineTune(losses={"soft": 1.0})(dataclasses.replace(teacher, outputs=(*teacher.outputs, *teacher.outputs)), given)
    with pytest.raises(UsageError, match="outputs of shapes"):
        FineTune()(classifier(), context(stripes(8), teacher=lambda x: x[:, :2, 0, 0]))
    with pytest.raises(UsageError, match="no image"):
        FineTune(augment=("flip",))(regression(), given)
    with pytest.raises(UsageError, match="shapes differ"):
        FineTune(losses={"inputs": 1.0})(classifier(), context())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there():
    with pytest.raises(UsageError, match="no CUDA device"):
        FineTune(device="cuda")(classifier(), context())
