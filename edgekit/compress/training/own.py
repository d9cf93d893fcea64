"""Loss and metric of the user's own: functions of a model's outputs and the labels of the data.

    def loss(outputs, labels):
        return torch.nn.functional.huber_loss(outputs["angle"], labels)

`outputs` maps output names to what the model gives, samples first (probabilities, where it ends in a softmax); `labels` are those of
these samples, in any shape, or None. A loss takes tensors, of a batch, and gives a scalar tensor that gradients flow back from. A
metric takes arrays, of all validation samples, and gives a number, or one a sample, whose mean counts: the larger, the better.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.compress.training.answers import Answers, Network
from edgekit.errors import UsageError


def source(function: Callable[..., Any]) -> str:
    """What tells a function from another of its name: its source, where there is one."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"


@dataclass(frozen=True)
class Own:
    """One of these functions, and the model it judges.

    Attributes:
        function: The user's.
        network: Whose outputs it takes.
        outputs: Their names.
    """

    function: Callable[..., Any]
    network: Network
    outputs: Sequence[str]

    @property
    def name(self) -> str:
        """The function's."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def named(self, answers: Answers) -> dict[str, Tensor]:
        """The outputs that answers stand for, by name."""
        return dict(zip(self.outputs, self.network.outputs(answers), strict=True))

    def called(self, outputs: Mapping[str, Any], labels: Any, what: str, accepted: str) -> Any:
        """What the function gives.

        Raises:
            UsageError: It fails.
        """
        try:
            return self.function(outputs, labels)
        except Exception as error:  # the user's code may raise anything
            raise UsageError(f"{what} {self.name!r} failed: {type(error).__name__}: {error}", accepted=accepted) from error


@dataclass(frozen=True)
class OwnLoss(Own):
    """What a training minimizes."""

    def __call__(self, answers: Answers, labels: Tensor | None) -> Tensor:
        """The loss of a batch.

        Raises:
            UsageError: It fails, or gives no scalar that gradients flow from.
        """
        accepted = f"loss(outputs, labels) -> a scalar tensor; outputs are {list(self.outputs)}"
        found = self.called(self.named(answers), labels, "loss", accepted)
        if not isinstance(found, Tensor) or found.numel() != 1 or found.requires_grad < torch.is_grad_enabled():
            got = f"a tensor of shape {list(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
            lost = " without gradients" if isinstance(found, Tensor) and found.numel() == 1 else ""
            raise UsageError(f"loss {self.name!r} gave {got}{lost}", accepted=accepted)
        return found.reshape(())


@dataclass(frozen=True)
class OwnMetric(Own):
    """What tells the best epoch."""

    def __call__(self, answers: Answers, labels: Tensor | None) -> float:
        """Of all validation samples.

        Raises:
            UsageError: It fails, or gives no number.
        """
        accepted = f"metric(outputs, labels) -> a number, or one a sample; outputs are {list(self.outputs)}"
        outputs = {name: value.detach().cpu().numpy() for name, value in self.named(answers).items()}
        found = self.called(outputs, None if labels is None else labels.numpy(), "metric", accepted)
        try:
            return float(np.asarray(found, np.float64).mean())
        except (TypeError, ValueError):
            raise UsageError(f"metric {self.name!r} gave a {type(found).__name__}", accepted=accepted) from None
