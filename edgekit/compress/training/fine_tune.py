"""The training pass: weights, tables and scales learn from data, and keep what earlier passes imposed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from edgekit.compress.options import require_one_of, require_within
from edgekit.compress.training.batches import AUGMENTATIONS
from edgekit.compress.training.losses import TERMS
from edgekit.compress.training.preparation import DEVICES, OPTIMIZERS, prepared
from edgekit.compress.training.schedule import SCHEDULES
from edgekit.errors import UsageError
from edgekit.graph import Graph
from edgekit.recipe import Context

KEPT: dict[str, str] = {
    "best": "the epoch best on validation data, by the metric, then by the loss; the graph as it came in among them",
    "last": "the last epoch",
}


@dataclass(frozen=True)
class FineTune:
    """Trains the weights of a graph on data: recovers accuracy, distils a teacher, makes roundings part of the training.

    Given: any graph, before or after lowering. A float one has its batch statistics put back for the training (`batch_norm`); of a
    quantized one, weights train through their roundings (quantization-aware training, Jacob et al. 2018, section 3).
    Result: the same graph with other weights and biases. Every constraint holds after each step: pruned elements stay zero, clustered
    weights keep their assignments while their tables train by the gradients of their elements (Han, Mao and Dally 2016, section 3.3).
    A note says what was gained.
    Source: Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", section 2; Jacob et al. 2018, "Quantization and
    training of neural networks for efficient integer-arithmetic-only inference", section 3; those of the options beside them.

    `Context.training` is needed; `Context.teacher` is by default the model before its first pass. A loss that is not finite ends the
    training, and the best epoch so far is kept. With `Context.checkpoints`, an interrupted training goes on where it was, to the bit
    (with `seconds`, in the time that was left).

    Attributes:
        epochs: Times the training data are used; None for `DEFAULT_EPOCHS`, or for as many as `seconds` allow.
        seconds: Time the training may take, validation included; the schedule follows the clock. With `epochs`, what ends first.
        losses: Key of `TERMS` to its weight in the loss. Empty for ``own`` where the user gives a loss, else for ``soft`` of a classifier
            (told by labels, or by its softmax), with ``labels`` where there are some, and for ``outputs`` of anything else.
        temperature: What logits are divided by in ``soft``, over 0.
        features: Module path to the teacher's module path (the same for a pruned model) for ``features``; a learned linear
            map joins values of different widths.
        optimizer: A key of `OPTIMIZERS`.
        learning_rate: The largest of the schedule.
        momentum: Of ``sgd``, 0 up to 1.
        weight_decay: Factor of the L2 regularisation of weights (not of biases, tables or scales).
        l1: Factor of the L1 regularisation of weights: it drives them to zero, for a pruning after it.
        schedule: A key of `SCHEDULES`.
        warmup: Share of the training in which the learning rate rises from nothing, 0 up to 1.
        batch_size: Samples a step.
        augment: Keys of `AUGMENTATIONS`, applied to each batch anew.
        batch_norm: Whether float convolutions are normalized by their batches while they train, and folded back in the end.
        scales: Whether the scales of quantized weights and activations train too (Esser et al. 2020, "Learned step size quantization");
            zero points, and grids that a kernel fixes, stay.
        frozen: Module path globs whose weights stay as they are.
        held_out: Share of the training data kept aside for validation where the context has none, 0 up to 1.
        keep: A key of `KEPT`; without validation data, the last epoch.
        seed: Of the order, the augmentation and new parameters: the same seed gives the same result.
        device: ``cpu``, ``cuda``, or ``auto`` for CUDA where there is one.
    """

    name: ClassVar[str] = "fine_tune"

    epochs: int | None = None
    seconds: float | None = None
    losses: Mapping[str, float] = field(default_factory=dict, hash=False)
    temperature: float = 4.0
    features: Mapping[str, str] = field(default_factory=dict, hash=False)
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    l1: float = 0.0
    schedule: str = "cosine"
    warmup: float = 0.05
    batch_size: int = 32
    augment: tuple[str, ...] = ()
    batch_norm: bool = True
    scales: bool = False
    frozen: tuple[str, ...] = ()
    held_out: float = 0.1
    keep: str = "best"
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        """Refuse options that do not exist, and numbers out of range.

        Raises:
            UsageError: Naming the option, what it got and what it takes.
        """
        require_one_of("optimizer", self.optimizer, OPTIMIZERS)
        require_one_of("schedule", self.schedule, SCHEDULES)
        require_one_of("keep", self.keep, KEPT)
        require_one_of("device", self.device, DEVICES)
        for augmentation in self.augment:
            require_one_of("augmentation", augmentation, AUGMENTATIONS)
        for term in self.losses:
            require_one_of("loss", term, TERMS)
        require_within("epochs", self.epochs, self.epochs is None or self.epochs >= 1, "1 or more")
        require_within("batch_size", self.batch_size, self.batch_size >= 1, "1 or more samples")
        for name in ("seconds", "temperature", "learning_rate"):
            value = getattr(self, name)
            require_within(name, value, value is None or value > 0, "over 0")
        for name in ("weight_decay", "l1"):
            require_within(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        for name in ("momentum", "warmup", "held_out"):
            require_within(name, getattr(self, name), 0 <= getattr(self, name) < 1, "0 up to, not including, 1")
        for term, weight in self.losses.items():
            require_within(f"the weight of loss {term!r}", weight, weight > 0, "over 0")
        if bool(self.features) != ("features" in self.losses):
            raise UsageError("features and the loss 'features' need each other", accepted='both, or neither: features."layer3" = "layer3"')

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The trained graph.

        Raises:
            DataError: There are no training data, they do not fit the model, or a loss needs labels that are not there.
            UsageError: A module path or a device that does not exist, or a loss the model has no outputs for.
        """
        training = prepared(self, graph, context)
        training.run()
        return training.student.to_graph().noting(*training.notes())
