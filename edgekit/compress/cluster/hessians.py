"""What errors of a layer's weight cost together: the second moments of what the layer reads, measured on data or assumed without.

An error e of one output channel's weights moves the output by eᵀx, so that its square is eᵀ E[x xᵀ] e on average. Without data: inputs
behind activations are mostly of one sign, and neighbouring ones are alike, so errors of a kernel add up, and those of all kernels
a little. The matrix is then the sum of a diagonal, of blocks of ones for each kernel and of ones everywhere, which SQuant (Guo et al.
2022, "SQuant: On-the-fly data-free quantization via diagonal Hessian approximation", section 3) lowers part by part, here all at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

WITHIN, ACROSS = 1.0, 0.1
"""What errors cost that have one sign in a kernel, and in all of them, to what each costs alone. Of four pairs the best for held-out
images of six convolutional networks, none of which was far from its best."""


class Hessian(Protocol):
    """A symmetric matrix for each group of a convolution: columns of the weight by columns."""

    @property
    def diagonal(self) -> Tensor:
        """Shape (groups, columns)."""

    def among(self, block: slice) -> Tensor:
        """Some columns against one another: shape (groups, columns of the block, the same)."""

    def times(self, errors: Tensor, block: slice = slice(None)) -> Tensor:
        """Products with errors (groups, rows, columns): those columns of them that are in the block."""


@dataclass(frozen=True)
class Measured:
    """Of data.

    Attributes:
        matrix: Shape (groups, columns, columns).
    """

    matrix: Tensor

    @property
    def diagonal(self) -> Tensor:
        """Shape (groups, columns)."""
        return self.matrix.diagonal(dim1=1, dim2=2)

    def among(self, block: slice) -> Tensor:
        """Read off."""
        return self.matrix[:, block, block]

    def times(self, errors: Tensor, block: slice = slice(None)) -> Tensor:
        """Multiplied out."""
        return errors @ self.matrix[:, :, block]


@dataclass(frozen=True)
class Assumed:
    """Without data, and never written out.

    Attributes:
        groups: Of the convolution.
        kernels: Input channels of a group.
        taps: Elements of a kernel, which are successive columns; 1 for a linear layer.
    """

    groups: int
    kernels: int
    taps: int

    @cached_property
    def diagonal(self) -> Tensor:
        """Of one value."""
        return torch.full((self.groups, self.kernels * self.taps), 1 + WITHIN + ACROSS)

    def among(self, block: slice) -> Tensor:
        """By whether columns are the same or of one kernel."""
        kernels = torch.arange(self.kernels * self.taps)[block] // self.taps
        return (ACROSS + WITHIN * (kernels[:, None] == kernels) + torch.eye(len(kernels))).expand(self.groups, -1, -1)

    def times(self, errors: Tensor, block: slice = slice(None)) -> Tensor:
        """By sums over the kernels that the block is of, and over all columns."""
        start, stop, _ = block.indices(errors.shape[2])
        first, last = start // self.taps, -(-stop // self.taps)
        kernels = errors[:, :, first * self.taps : last * self.taps].reshape(*errors.shape[:2], last - first, self.taps).sum(3)
        within = kernels.repeat_interleave(self.taps, 2)[:, :, start - first * self.taps :][:, :, : stop - start]
        return errors[:, :, block] + WITHIN * within + ACROSS * errors.sum(2, keepdim=True)
