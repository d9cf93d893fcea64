"""What a training minimizes: a weighted sum of terms, each the mean over a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.compress.training.answers import Answers
from edgekit.errors import UsageError

TERMS: dict[str, str] = {
    "labels": "cross-entropy with the labels of the training data",
    "soft": "divergence from the teacher's softened class probabilities (Hinton, Vinyals and Dean 2015, section 2)",
    "hard": "cross-entropy with the class that the teacher finds most likely",
    "features": "squared distance of values inside from the teacher's (Romero et al. 2015, 'FitNets', section 2.2)",
    "outputs": "squared distance from the teacher's outputs, in shares of their variance (Ba and Caruana 2014)",
    "inputs": "squared distance of the outputs from the inputs, in shares of their variance, for autoencoders",
    "own": "a function of the user's own, given as `Context.loss`, on the command line with ``--loss``",
}
"""What a loss is made of."""

Shape = tuple[int, ...]

OF_TEACHER = ("soft", "hard", "features", "outputs")
OF_CLASSES = ("labels", "soft", "hard")


@dataclass(frozen=True)
class Batch:
    """Samples of one step.

    Attributes:
        inputs: One tensor an input, batch first.
        labels: Probability of each class, shape (batch, classes), or None.
        given: The labels as the data hold them, or None.
    """

    inputs: list[Tensor]
    labels: Tensor | None
    given: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        labels, given = (None if t is None else t.to(device) for t in (self.labels, self.given))
        return Batch([t.to(device) for t in self.inputs], labels, given)


class Loss(nn.Module):
    """A weighted sum of terms.

    Attributes:
        weights: Key of `TERMS` to its weight.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        temperature: float,
        widths: Sequence[tuple[Shape, Shape]] = (),
        own: Callable[[Answers, Tensor | None], Tensor] | None = None,
    ) -> None:
        """Prepare the terms.

        Args:
            weights: Key of `TERMS` to its weight.
            temperature: Of ``soft``.
            widths: Shapes of each pair of features, the student's and the teacher's.
            own: Of the student's answers and the labels as given.

        Raises:
            UsageError: A pair of features differs in more than its channels.
        """
        super().__init__()
        self.weights = dict(weights)
        self._temperature = temperature
        self._function = own
        self.projections = nn.ModuleList(_projection(own, theirs) for own, theirs in widths)
        self._terms = {
            "labels": self._labels,
            "soft": self._soft,
            "hard": self._hard,
            "features": self._features,
            "outputs": self._outputs,
            "inputs": self._inputs,
            "own": self._own,
        }

    def forward(self, batch: Batch, answers: Answers, teacher: Answers | None) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            batch: What was asked.
            answers: The student's.
            teacher: The teacher's; None if no term wants them.
        """
        wanted = Answers(()) if teacher is None else teacher
        return sum((weight * self._terms[term](batch, answers, wanted) for term, weight in self.weights.items()), start=torch.zeros(()))

    def _labels(self, batch: Batch, answers: Answers, teacher: Answers) -> Tensor:
        assert batch.labels is not None
        return F.cross_entropy(logits(answers.scores[0]), batch.labels)

    def _soft(self, batch: Batch, answers: Answers, teacher: Answers) -> Tensor:
        """Times the squared temperature, so that gradients do not shrink as it grows."""
        own, theirs = (F.log_softmax(logits(a.scores[0]) / self._temperature, 1) for a in (answers, teacher))
        return F.kl_div(own, theirs, reduction="batchmean", log_target=True) * self._temperature**2

    def _hard(self, batch: Batch, answers: Answers, teacher: Answers) -> Tensor:
        return F.cross_entropy(logits(answers.scores[0]), logits(teacher.scores[0]).argmax(1))

    def _features(self, batch: Batch, answers: Answers, teacher: Answers) -> Tensor:
        pairs = zip(self.projections, answers.features, teacher.features, strict=True)
        return sum((_distance(projection(own), theirs) for projection, own, theirs in pairs), start=torch.zeros(()))

    def _outputs(self, batch: Batch, answers: Answers, teacher: Answers) -> Tensor:
        return sum((_distance(own, theirs) for own, theirs in zip(answers.scores, teacher.scores, strict=True)), start=torch.zeros(()))

    def _inputs(self, batch: Batch, answers: Answers, teacher: Answers) -> Tensor:
        return sum((_distance(own, given) for own, given in zip(answers.scores, batch.inputs, strict=True)), start=torch.zeros(()))

    def _own(self, batch: Batch, answers: Answers, teacher: Answers) -> Tensor:
        assert self._function is not None
        return self._function(answers, batch.given)


def logits(scores: Tensor) -> Tensor:
    """Scores of two classes or more, shape (batch, classes): of one score, the sigmoid of which is the second's probability, both."""
    return scores if scores.shape[1] > 1 else torch.cat([torch.zeros_like(scores), scores], 1)


def _distance(own: Tensor, theirs: Tensor) -> Tensor:
    """Mean squared difference in shares of the variance."""
    return F.mse_loss(own, theirs) / theirs.detach().var(correction=0).clamp_min(torch.finfo(theirs.dtype).tiny)


class _Channels(nn.Module):
    """A linear map of the channels of an image or a signal (axis 1)."""

    def __init__(self, own: int, theirs: int) -> None:
        super().__init__()
        self.map = nn.Linear(own, theirs)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, channels, …)."""
        mapped: Tensor = self.map(x.movedim(1, -1))
        return mapped.movedim(-1, 1)


def _projection(own: Shape, theirs: Shape) -> nn.Module:
    """What makes the student's value as wide as the teacher's: nothing, or a learned linear map of its channels."""
    if own[1:] == theirs[1:]:
        return nn.Identity()
    axis = 1 if len(own) > 3 else len(own) - 1
    if len(own) != len(theirs) or own[1:axis] != theirs[1:axis] or own[axis + 1 :] != theirs[axis + 1 :]:
        raise UsageError(
            f"features of shapes {list(own[1:])} and {list(theirs[1:])} cannot be compared",
            accepted="pairs that differ in their channels only",
            next_step="choose modules of the same resolution",
        )
    return _Channels(own[1], theirs[1]) if axis == 1 else nn.Linear(own[axis], theirs[axis])
