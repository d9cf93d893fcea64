"""Whose answers a training imitates: a graph, or anything that can be called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn

from edgekit.compress.training.answers import Answers, Network
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph

SURE = 1e-4
"""Rows of numbers in 0 to 1 whose sum is 1 to within this are probabilities."""


class CalledTeacher(nn.Module):
    """A callable of the user's that takes the inputs as tensors and gives the outputs; it has no features."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, inputs: Sequence[Tensor]) -> Answers:
        """Its answers; the logarithm of probabilities, whose softmax they are.

        Raises:
            DataError: It gives no tensors.
        """
        found = [leaf for leaf in pytree.tree_leaves(self._function(*inputs)) if isinstance(leaf, Tensor)]
        if not found:
            raise DataError("the teacher gave no tensors", accepted="a callable that gives its outputs as tensors, batch first")
        return Answers(tuple(_scores(t.detach().float()) for t in found))


def teacher_of(given: Graph | Callable[..., Any], probe: Sequence[Tensor], features: Sequence[str]) -> nn.Module:
    """The teacher as a module that gives `Answers`.

    Args:
        given: A graph, or a callable.
        probe: Inputs of a few samples.
        features: Module paths of the graph whose values are wanted.

    Raises:
        UsageError: A module path does not exist, or the teacher has no modules.
    """
    if isinstance(given, Graph):
        return Network(given, probe, features)
    if features:
        raise UsageError("the teacher is a function, so it has no modules to take features from", accepted="a Graph, or a model")
    return CalledTeacher(given)


def _scores(output: Tensor) -> Tensor:
    if output.dim() != 2 or bool((output < 0).any()) or bool(((output.sum(1) - 1).abs() > SURE).any()):
        return output
    return output.clamp_min(torch.finfo(torch.float32).tiny).log()
