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

from edgekit.constraints import Mask
from edgekit.graph import argument, constant_value, constraints_of, is_call, op_name, reads

EPSILON = 1e-5
"""ε in shares of a layer's mean variance."""

TINY = 1e-12

MOMENTUM = 0.1
"""Weight of a batch in the running statistics."""


class Normalization(nn.Module):
    """One convolution's statistics, scale and shift.

    Attributes:
        scale: γ, shape (channels,).
        shift: β, shape (channels,).
        mean: Running μ.
        variance: Running σ².
        epsilon: ε.

    Args:
        mean: Of the convolution's results before the bias, shape (channels,).
        variance: The same.
        bias: The convolution's, or None.
        factors: What the weight's output channels are multiplied by while they train.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, mean: Tensor, variance: Tensor, bias: Tensor | None, factors: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean * factors)
        self.register_buffer("variance", variance * factors.square())
        self.epsilon = max(EPSILON * float(self.variance.mean()), TINY)
        self.scale = nn.Parameter((self.variance + self.epsilon).sqrt() / factors)
        self.shift = nn.Parameter(mean.clone() if bias is None else mean + bias)

    def forward(self, z: Tensor) -> Tensor:
        """Normalize a convolution's results, by their own statistics in training mode."""
        return nn.functional.batch_norm(z, self.mean, self.variance, self.scale, self.shift, self.training, MOMENTUM, self.epsilon)

    def folded(self) -> tuple[Tensor, Tensor]:
        """What to multiply output channels by, and the bias; double precision, shape (channels,)."""
        scale = (self.scale.double() / (self.variance.double() + self.epsilon).sqrt()).detach().cpu()
        return scale, self.shift.detach().double().cpu() - self.mean.double().cpu() * scale


def usual_scale(weight: Tensor) -> Tensor:
    """What makes the elements of each output channel as large as those of a network that is initialized, shape (channels,).

    What is normalized after it may have any scale; with this one (He et al. 2015, section 2.2), a learning rate changes the weights of all
    layers by the share it would change a network trained from the beginning by. Zeros do not count.
    """
    rows = weight.flatten(1)
    used = (rows != 0).sum(1).clamp_min(1)
    sizes = (rows.square().sum(1) / used).sqrt()
    return torch.where(sizes > 0, (2 / rows.shape[1]) ** 0.5 / sizes.clamp_min(TINY), 1.0)


def normalizable(nodes: Iterable[fx.Node]) -> list[fx.Node]:
    """Convolutions whose channels can be normalized: of weights of their own, free but for a mask, and not what the graph gives out."""
    return [n for n in nodes if is_call(n) and op_name(n) == "convolution" and _is_free(n)]


def _is_free(node: fx.Node) -> bool:
    weight, bias = argument(node, "weight"), argument(node, "bias")
    alone = all(w.op == "get_attr" and reads(w) == 1 for w in (weight, bias) if isinstance(w, fx.Node))
    scalable = constant_value(weight) is not None and all(isinstance(c, Mask) for c in constraints_of(weight))
    return alone and scalable and not argument(node, "transposed") and all(user.op != "output" for user in node.users)


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
