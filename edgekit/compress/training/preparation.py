"""From options, a graph and data to a training that can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgekit.compress.overrides import check_modules
from edgekit.compress.training.answers import Network, feature_shapes
from edgekit.compress.training.batches import Data, check_augmentations
from edgekit.compress.training.checkpoints import digest
from edgekit.compress.training.loop import Plan, Training
from edgekit.compress.training.losses import OF_CLASSES, OF_TEACHER, TERMS, Loss
from edgekit.compress.training.own import OwnLoss, OwnMetric, source
from edgekit.compress.training.schedule import Budget
from edgekit.compress.training.student import Student
from edgekit.compress.training.teachers import teacher_of
from edgekit.data.checking import check_samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph
from edgekit.recipe import Context

if TYPE_CHECKING:
    from edgekit.compress.training.fine_tune import FineTune

OPTIMIZERS: dict[str, str] = {
    "sgd": "stochastic gradient descent with Nesterov momentum",
    "adam": "Adam (Kingma and Ba 2015), weight decay apart from the gradients (Loshchilov and Hutter 2019)",
}
DEVICES = ("auto", "cpu", "cuda")
DEFAULT_EPOCHS = 10


@dataclass(frozen=True)
class _Given:
    """What a training is prepared from."""

    options: FineTune
    graph: Graph
    context: Context
    data: Data
    validation: Data | None

    @property
    def probe(self) -> list[Tensor]:
        """Inputs of two samples."""
        return [t[:2] for t in self.data.inputs]


def prepared(options: FineTune, graph: Graph, context: Context) -> Training:
    """A training, ready to run.

    Raises:
        DataError: There are no training data, they do not fit the model, or a loss needs labels that are not there.
        UsageError: A module path or a device that does not exist, or a loss the model or the teacher has no outputs for.
    """
    check_modules(graph, options.frozen, "frozen")
    check_augmentations(options.augment, graph)
    given = _Given(options, graph, context, *_data(options, graph, context))
    device = _device(options.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        student = Student(
            graph,
            given.data.inputs,
            features=list(options.features),
            frozen=options.frozen,
            batch_norm=options.batch_norm and min(options.batch_size, len(given.data)) > 1,
            scales=context.rules if options.scales else None,
        )
        classes = class_count(student, graph)
        weights = _losses(given, classes, student.decided[0] is not None)
        if not set(weights) & set(OF_CLASSES) and (given.validation is None or given.validation.indices is None):
            classes = None  # nothing says which class is right
        teacher = _teacher(given, student) if set(weights) & set(OF_TEACHER) else None
        names = [spec.name for spec in graph.outputs]
        own = None if context.loss is None else OwnLoss(context.loss, student, names)
        metric = None if context.metric is None else OwnMetric(context.metric, student, names)
        loss = Loss(weights, options.temperature, _widths(given), own)
    for module in (student, loss, teacher):
        if module is not None:
            module.to(device)
    plan = Plan(
        min(options.batch_size, len(given.data)), options.learning_rate, options.schedule, options.warmup, options.l1, options.augment,
        options.keep == "best", options.seed, classes, device,
    )  # fmt: skip
    budget = Budget(_steps(options, len(given.data) // plan.batch_size), options.seconds)
    optimizer, file = _optimizer(options, student, loss), _file(given)
    return Training(student, loss, optimizer, teacher, given.data, given.validation, metric, plan, budget, file)


def class_count(network: Network, graph: Graph) -> int | None:
    """Classes that a model can have: of one output of class scores, or of one sigmoid; None for any other."""
    shapes = [spec.shape for spec in graph.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2:
        return None
    if shapes[0][1] == 1:
        return 2 if network.decided[0] == "sigmoid" else None
    return None if network.decided[0] == "sigmoid" else shapes[0][1]


def _data(options: FineTune, graph: Graph, context: Context) -> tuple[Data, Data | None]:
    """To train on, and to validate with."""
    if context.training is None:
        raise DataError(
            "fine-tuning learns from data, and there are none",
            accepted="samples, with class labels or without",
            next_step="pass training=..., for example what the model was trained on",
        )
    data = Data.of(check_samples(context.training, graph.inputs), graph)
    if context.validation is not None:
        return data, Data.of(check_samples(context.validation, graph.inputs), graph)
    return data.parted(options.held_out) if options.held_out else (data, None)


def _losses(given: _Given, classes: int | None, decided: bool) -> Mapping[str, float]:
    """What is minimized: what was asked for, or what the data and the model allow.

    Raises:
        UsageError: The model has no classes.
        DataError: There are no labels, or no teacher.
    """
    labelled = given.data.indices is not None and (given.validation is None or given.validation.indices is not None)
    taught = given.context.teacher is not None
    usual = {"own": 1.0} if given.context.loss is not None else _usual(classes is not None and (labelled or decided), labelled, taught)
    chosen = dict(given.options.losses) or usual
    if "own" in chosen:
        _check_own(given)
    if classes is None and (odd := set(chosen) & set(OF_CLASSES)):
        shapes = [list(spec.shape) for spec in given.graph.outputs]
        raise UsageError(
            f"loss {min(odd)!r} is of classes, and the model gives outputs of shapes {shapes}",
            accepted=sorted(set(TERMS) - set(OF_CLASSES)),
        )
    if "labels" in chosen and not labelled:
        raise DataError("loss 'labels' needs labels, and the data have none", next_step="labels as y in the .npz, or the loss 'soft'")
    if set(chosen) & set(OF_TEACHER) and not taught:
        raise DataError(f"loss {min(set(chosen) & set(OF_TEACHER))!r} imitates a teacher, and there is none", next_step="pass teacher=...")
    if not chosen:
        raise DataError("there is nothing to learn: neither labels nor a teacher", next_step="pass teacher=..., or labelled data")
    if "inputs" in chosen and [s.shape for s in given.graph.inputs] != [s.shape for s in given.graph.outputs]:
        raise UsageError("loss 'inputs' compares outputs with inputs, and their shapes differ", accepted="autoencoders")
    _check_labels(given, classes)
    return chosen


def _usual(classifies: bool, labelled: bool, taught: bool) -> dict[str, float]:
    """The loss where none was asked for."""
    if not classifies:
        return {"outputs": 1.0} if taught else {}
    return ({"soft": 1.0} if taught else {}) | ({"labels": 1.0} if labelled else {})


def _check_own(given: _Given) -> None:
    """Refuse a loss of the user's own that is not there, or whose labels would be blended.

    Raises:
        DataError: It is not there.
        UsageError: The other.
    """
    if given.context.loss is None:
        raise DataError(
            "loss 'own' is a function of yours, and none is given", next_step="loss=..., on the command line --loss FILE.py:FUNCTION"
        )
    if "mixup" in given.options.augment:
        raise UsageError("mixup blends the probabilities of classes, which a loss of your own does not get", accepted="flip, shift")


def _check_labels(given: _Given, classes: int | None) -> None:
    for data in (given.data, given.validation):
        labels = None if data is None or classes is None else data.indices
        if labels is not None and classes is not None and (int(labels.min()) < 0 or int(labels.max()) >= classes):
            raise DataError(
                f"there are labels from {int(labels.min())} to {int(labels.max())}, and the model has {classes} classes",
                accepted=f"0 to {classes - 1}",
            )


def _teacher(given: _Given, student: Student) -> nn.Module:
    """The teacher, once it is seen to answer as the student does.

    Raises:
        UsageError: Its outputs have other shapes.
    """
    assert given.context.teacher is not None
    teacher = teacher_of(given.context.teacher, given.probe, list(given.options.features.values())).eval()
    with torch.no_grad():
        own, theirs = ([list(t.shape[1:]) for t in network(given.probe).scores] for network in (student.eval(), teacher))
    if own != theirs:
        raise UsageError(f"the teacher gives outputs of shapes {theirs}", accepted=f"those of the model: {own}")
    return teacher


def _widths(given: _Given) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shapes of each pair of features."""
    if not given.options.features:
        return []
    assert isinstance(given.context.teacher, Graph)
    pairs = given.options.features
    own, theirs = feature_shapes(given.graph, list(pairs)), feature_shapes(given.context.teacher, list(pairs.values()))
    return list(zip(own, theirs, strict=True))


def _device(name: str) -> torch.device:
    """Where to train.

    Raises:
        UsageError: There is no CUDA device.
    """
    present = torch.cuda.is_available()
    if name == "cuda" and not present:
        raise UsageError("there is no CUDA device", accepted="device = cpu, or auto", next_step="check torch.cuda.is_available()")
    return torch.device("cuda" if present and name != "cpu" else "cpu")


def _optimizer(options: FineTune, student: Student, loss: Loss) -> torch.optim.Optimizer:
    """Of everything that trains; weights are regularised, biases, tables, scales and projections are not."""
    weights = student.regularised()
    known = {id(p) for p in weights}
    others = list({id(p): p for p in (*student.learned.parameters(), *loss.parameters()) if id(p) not in known}.values())
    groups = [{"params": weights, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
    kept = [group for group in groups if group["params"]]
    if options.optimizer == "sgd":
        return torch.optim.SGD(kept, options.learning_rate, momentum=options.momentum, nesterov=options.momentum > 0, fused=True)
    return torch.optim.AdamW(kept, options.learning_rate, betas=(options.momentum, 0.999), fused=True)


def _steps(options: FineTune, per_epoch: int) -> int | None:
    if options.epochs is None and options.seconds is not None:
        return None
    return (options.epochs or DEFAULT_EPOCHS) * per_epoch


def _file(given: _Given) -> Path | None:
    """Where the state of just this training is kept."""
    if given.context.checkpoints is None:
        return None
    teacher = given.context.teacher
    graphs = [given.graph, teacher] if isinstance(teacher, Graph) else [given.graph]
    data = [d for d in (given.data, given.validation) if d is not None]
    tensors = [t for d in data for t in (*d.inputs, d.labels)]
    options = (given.options, *(source(f) for f in (given.context.loss, given.context.metric) if f is not None))
    return given.context.checkpoints / f"fine_tune-{digest(graphs, tensors, options)}.safetensors"
