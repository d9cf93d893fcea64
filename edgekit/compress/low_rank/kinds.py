"""How one weight becomes several smaller ones, applied one after the other.

All kinds end in a layer whose weight is a least-squares fit: given the features that the layers before it deliver, a linear map K
of what the original layer reads, and the second moments H of that, the last weight is C = W H Kᵀ (K H Kᵀ)⁻¹, so that C K x comes as near
to W x as it can. Without data H is the identity, and C K the factorization's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

DAMPING = 1e-6
"""Ridge of the last layer's fit, in shares of the mean square of its features."""

Rank = int
Stages = tuple[Tensor, ...]


@dataclass(frozen=True)
class Split:
    """A weight's first factors, and what the last one multiplies.

    Attributes:
        first: Weights of all stages but the last.
        features: The map from what the original layer reads to what the last stage reads, shape (features, columns).
        last: Shape of the last stage's weight; its size is that of (rows, features).
    """

    first: Stages
    features: Tensor
    last: tuple[int, ...]

    def closed(self, wanted: Tensor, moments: Tensor | None) -> tuple[Stages, Tensor]:
        """All stages, and the weight they amount to.

        Args:
            wanted: The weight to come near to, shape (rows, columns).
            moments: Of what the layer reads, shape (columns, columns); None for the identity.

        Returns:
            The weights in the order they are applied; their product, shape (rows, columns).
        """
        features = self.features.double()
        seen = _seen(features, moments)
        square = seen @ features.mT
        ridge = DAMPING * float(square.diagonal().mean()) + torch.finfo(torch.float64).tiny
        last = torch.linalg.solve(square + ridge * torch.eye(len(square), dtype=square.dtype), seen @ wanted.double().mT).mT
        return (*self.first, last.float().reshape(self.last)), (last @ features).float()

    @property
    def parameters(self) -> tuple[int, ...]:
        """Of each stage."""
        return (*(w.numel() for w in self.first), self.last[0] * len(self.features))


def _seen(rows: Tensor, moments: Tensor | None) -> Tensor:
    return rows if moments is None else rows @ moments


Splitter = Callable[[Rank], Split]


def by_outputs(weight: Tensor, moments: Tensor | None) -> Splitter:
    """Two layers: the original kernel with few outputs, then a mixture of these.

    The singular value decomposition of a linear layer or a 1x1 convolution; with moments, of its responses, whose principal
    components the few outputs are (Zhang et al. 2016, "Accelerating very deep convolutional networks", section 3.1).
    """
    rows = weight.flatten(1).double()
    _, vectors = torch.linalg.eigh(_seen(rows, moments) @ rows.mT)
    basis = vectors.flip(1)

    def split(rank: Rank) -> Split:
        first = (basis[:, :rank].mT @ rows).float()
        return Split((first.reshape(rank, *weight.shape[1:]),), first, (len(rows), rank, *[1] * (weight.dim() - 2)))

    return split


def spatial(weight: Tensor, _: Tensor | None) -> Splitter:
    """Two convolutions: along the height, then along the width.

    Jaderberg, Vedaldi and Zisserman 2014, "Speeding up convolutional neural networks with low rank expansions", section 2 (scheme 2);
    the singular value decomposition that Tai et al. 2016, "Convolutional neural networks with low-rank regularization", theorem 1, give.
    """
    outputs, inputs, height, width = weight.shape
    matrix = weight.permute(1, 2, 0, 3).reshape(inputs * height, outputs * width)
    left, values, _right = torch.linalg.svd(matrix.double(), full_matrices=False)

    def split(rank: Rank) -> Split:
        first = (left[:, :rank] * values[:rank].sqrt()).mT.float().reshape(rank, inputs, height)
        features = torch.zeros(rank, width, inputs, height, width)
        for tap in range(width):
            features[:, tap, :, :, tap] = first
        return Split((first[..., None],), features.reshape(rank * width, -1), (outputs, rank, 1, width))

    return split


def tucker(weight: Tensor, moments: Tensor | None) -> Splitter:
    """Three convolutions: 1x1 to few channels, the kernel between few channels, 1x1 back to all.

    Kim et al. 2016, "Compression of deep convolutional neural networks for fast and low power mobile applications", section 3.1
    (Tucker-2 by higher-order singular value decomposition); output channels by their responses, as in `by_outputs`.
    """
    outputs, inputs, *kernel = weight.shape
    unfolded = weight.movedim(1, 0).flatten(1).double()
    _, of_inputs = torch.linalg.eigh(unfolded @ unfolded.mT)
    rows = weight.flatten(1).double()
    _, of_outputs = torch.linalg.eigh(_seen(rows, moments) @ rows.mT)

    def split(rank: Rank) -> Split:
        few = max(1, round(rank * inputs / outputs))
        down, up = of_inputs.flip(1)[:, :few].mT, of_outputs.flip(1)[:, :rank].mT
        core = torch.einsum("ro,oi...,ci->rc...", up, weight.double(), down)
        features = torch.einsum("rc...,ci->ri...", core, down).reshape(rank, -1)
        ones = [1] * len(kernel)
        return Split((down.float().reshape(few, inputs, *ones), core.float()), features.float(), (outputs, rank, *ones))

    return split


KINDS: dict[str, Callable[[Tensor, Tensor | None], Splitter]] = {"svd": by_outputs, "spatial": spatial, "tucker": tucker}


def kinds_of(weight: Tensor) -> tuple[str, ...]:
    """The kinds that can be applied to the weight of a linear layer or convolution."""
    kernel = weight.shape[2:]
    if all(size == 1 for size in kernel):
        return ("svd",)
    return ("svd", "spatial", "tucker") if len(kernel) == 2 and min(kernel) > 1 else ("svd", "tucker")
