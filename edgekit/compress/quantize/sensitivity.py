"""How strongly a model's outputs react to each value inside it: what an error there costs.

To second order, an error e of a value moves the outputs z by Σ_k (∂z_k/∂a)² e², summed over the outputs, so its squared
gradients weigh its squared error (Hassibi & Stork 1993, "Optimal brain surgeon"; Li et al. 2021, "BRECQ", section 3.3, for
ranges of activations). The sum over the outputs is estimated by the gradient of one random ±1 combination of them a sample
(Hutchinson 1990). Of a model that ends in a softmax or a sigmoid, the scores before it are taken for the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.canonicalize.vocabulary import DECIDING
from edgekit.compress.roundings import unrounded
from edgekit.data import Samples
from edgekit.graph import Graph, is_call, op_name

FEWEST, WORK = 4, 1 << 24
"""Samples to run back, at least, and elements of activations, at most: reactions average over an image's many positions."""

ALIVE = 1 << 23
"""Elements of activations kept at once for the way back."""


class Reactions(fx.Interpreter):
    """Runs a float graph forward, and back from a random combination of its outputs."""

    def __init__(self, graph: Graph, names: frozenset[str]) -> None:
        super().__init__(graph.module)
        self._names = names
        self._kept: dict[str, Tensor] = {}
        output = next(n for n in reversed(graph.nodes) if n.op == "output")
        self._outputs = [scores_of(n) for n in output.all_input_nodes]
        self._results: dict[str, Tensor] = {}

    def of(self, inputs: Sequence[Tensor], first: int, count: int) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Each named node's value and what a squared error of each element weighs; the weights are 0 where no output depends on it.

        Arguments are those of `gradients`.
        """
        return {name: (value, gradient.square()) for name, (value, gradient) in self.gradients(inputs, first, count).items()}

    def gradients(self, inputs: Sequence[Tensor], first: int, count: int) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Each named node's value and the gradient of the combination; 0 where no output depends on it.

        Args:
            inputs: What the graph is called with.
            first: Number of the first sample in the whole set: each sample has its own combination, however samples are batched.
            count: Samples in `inputs`.
        """
        self._kept, self._results = {}, {}
        with torch.inference_mode(mode=False), torch.enable_grad():
            self.run(*(t.clone() for t in inputs))
            reacting = [value for value in self._results.values() if value.requires_grad]
            total = sum(((value * _signs(value.shape, first, count)).sum() for value in reacting), start=torch.zeros(()))
            if reacting:
                total.backward()  # type: ignore[no-untyped-call]
        return {name: (v.detach(), torch.zeros_like(v) if v.grad is None else v.grad) for name, v in self._kept.items()}

    def run_node(self, n: fx.Node) -> Any:
        """Keep the gradients of what was asked for."""
        value = super().run_node(n)
        if n.name in self._names:
            value = value if value.requires_grad else value.detach().requires_grad_()
            value.retain_grad()
            self._kept[n.name] = value
        if n in self._outputs:
            self._results[n.name] = value
        return value


def scores_of(output: fx.Node) -> fx.Node:
    """What an output was decided by: the operand of a softmax or sigmoid, rounded or not; any other output itself."""
    last = unrounded(output)
    return last.args[0] if is_call(last) and op_name(last) in DECIDING else output


def _signs(shape: torch.Size, first: int, count: int) -> Tensor:
    """A ±1 for each element, drawn for each sample by its number."""
    rows = count if len(shape) and shape[0] % count == 0 else 1
    part = (shape[0] // rows, *shape[1:]) if len(shape) else ()
    drawn = [torch.randint(0, 2, part, generator=torch.Generator().manual_seed(first + i)) for i in range(rows)]
    return (torch.cat(drawn) if len(shape) else drawn[0]).float().mul_(2).sub_(1)


def affordable(graph: Graph, samples: Samples, fewest: int = FEWEST, work: int = WORK) -> tuple[Samples, int]:
    """Samples at even distances that can be run back, and how many of them at once.

    Args:
        graph: To run.
        samples: To take from.
        fewest: So many at least, if there are.
        work: Elements of activations in all, at most.
    """
    elements = sum(n.meta["val"].numel() for n in graph.nodes if n.op == "call_function" and isinstance(n.meta["val"], Tensor))
    wanted = min(len(samples), max(fewest, work // max(elements, 1)))
    return samples.spread(wanted), max(1, min(wanted, ALIVE // max(elements, 1)))
