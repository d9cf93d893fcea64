"""Batch statistics put back into a folded graph while it trains (Ioffe and Szegedy 2015, section 3).

Given: ``y = convolution(x, W, b)`` whose batch normalization was folded into W and b.
Result: ``y = γ · (z − μ) / sqrt(σ² + ε) + β`` with ``z = convolution(x, W)``, where μ and σ² are z's statistics on training data,
``γ = sqrt(σ² + ε)`` and ``β = μ + b``: the same function to begin with. Training normalizes by the statistics of each
batch. In the end it folds again, with the running statistics: ``W · γ / sqrt(σ² + ε)`` and ``β − μ · γ / sqrt(σ² + ε)``.

Deep networks whose normalization is folded train badly: each layer's scale then depends on all before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgekit.graph import argument, constant_value, constraints_of, is_call, op_name

EPSILON = 1e-5
"""ε in shares of a layer's mean variance."""

TINY = 1e-12


class Normalization(nn.Module):
    """One convolution's statistics, scale and shift.

    Attributes:
        scale: γ, shape (channels,).
        shift: β, shape (channels,).
        mean: Running μ.
        variance: Running σ².
        epsilon: ε.
        momentum: Weight of a batch in the running statistics.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, mean: Tensor, variance: Tensor, bias: Tensor | None, momentum: float = 0.1) -> None:
        super().__init__()
        self.epsilon, self.momentum = max(EPSILON * float(variance.mean()), TINY), momentum
        self.register_buffer("mean", mean.clone())
        self.register_buffer("variance", variance.clone())
        self.scale = nn.Parameter((variance + self.epsilon).sqrt())
        self.shift = nn.Parameter(mean.clone() if bias is None else mean + bias)

    def forward(self, z: Tensor) -> Tensor:
        """Normalize a convolution's results, by their own statistics in training mode."""
        training, momentum, epsilon = self.training, self.momentum, self.epsilon
        return nn.functional.batch_norm(z, self.mean, self.variance, self.scale, self.shift, training, momentum, epsilon)

    def folded(self) -> tuple[Tensor, Tensor]:
        """What to multiply output channels by, and the bias; double precision, shape (channels,)."""
        scale = (self.scale.double() / (self.variance.double() + self.epsilon).sqrt()).detach().cpu()
        return scale, self.shift.detach().double().cpu() - self.mean.double().cpu() * scale


def normalizable(nodes: Iterable[fx.Node]) -> list[fx.Node]:
    """Convolutions whose channels can be normalized: of weights of their own that may be scaled, and not what the graph gives out."""
    return [n for n in nodes if is_call(n) and op_name(n) == "convolution" and _is_free(n)]


def _is_free(node: fx.Node) -> bool:
    weight, bias = argument(node, "weight"), argument(node, "bias")
    alone = all(w.op == "get_attr" and _readers(w) == 1 for w in (weight, bias) if isinstance(w, fx.Node))
    scalable = constant_value(weight) is not None and all(c.scalable for c in constraints_of(weight))
    return alone and scalable and not argument(node, "transposed") and all(user.op != "output" for user in node.users)


def _readers(constant: fx.Node) -> int:
    return sum(len(twin.users) for twin in constant.graph.find_nodes(op="get_attr", target=constant.target))


class Statistics(fx.Interpreter):
    """Mean and variance of each channel of some nodes, gathered over batches.

    Args:
        module: What to run.
        names: Of the nodes.
    """

    def __init__(self, module: fx.GraphModule, names: Iterable[str]) -> None:
        super().__init__(module)
        self._sums: dict[str, tuple[Tensor, Tensor, int]] = {name: (torch.zeros(()), torch.zeros(()), 0) for name in names}

    def run_node(self, n: fx.Node) -> Any:
        """Run it, and count what it gives."""
        value = super().run_node(n)
        if n.name in self._sums:
            rows = value.transpose(0, 1).flatten(1).double()
            total, squares, count = self._sums[n.name]
            self._sums[n.name] = (total + rows.sum(1), squares + rows.square().sum(1), count + rows.shape[1])
        return value

    @property
    def results(self) -> Mapping[str, tuple[Tensor, Tensor]]:
        """By node, mean and variance of each channel, float32."""
        means = {name: (total / count, squares / count) for name, (total, squares, count) in self._sums.items()}
        return {name: (mean.float(), (square - mean.square()).clamp_min(0).float()) for name, (mean, square) in means.items()}
