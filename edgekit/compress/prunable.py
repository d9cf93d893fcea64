"""A weight that is pruned element by element or in blocks, and how many of its elements a rule takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx


@dataclass(frozen=True)
class Prunable:
    """A weight to prune.

    Attributes:
        node: Its ``get_attr`` node.
        module: Path of the user's module.
        value: The weight.
        axis: Of its output channels; the input channels are on the other one of its first two.
        kept: What an earlier pruning kept, or None.
        share: Its own sparsity, or None.
        sensitivity: What an error of each element costs, of the weight's shape; None for the same of all.
    """

    node: fx.Node
    module: str
    value: Tensor
    axis: int
    kept: Tensor | None
    share: float | None
    sensitivity: Tensor | None = None

    @property
    def name(self) -> str:
        """Target of the weight's node."""
        return str(self.node.target)

    def matrix(self, tensor: Tensor) -> Tensor:
        """As (output channels, input channels, everything else)."""
        return tensor.movedim(self.axis, 0).flatten(2) if tensor.dim() > 2 else tensor.movedim(self.axis, 0)[..., None]

    def back(self, matrix: Tensor) -> Tensor:
        """Inverse of `matrix`."""
        sizes = list(self.value.movedim(self.axis, 0).shape)
        return matrix.reshape(sizes).movedim(0, self.axis)

    def importances(self) -> Tensor:
        """What the loss of each element costs, as a matrix: its magnitude, times the root of its sensitivity; below 0 where pruned."""
        size = self.value.abs() if self.sensitivity is None else self.value.abs() * self.sensitivity.sqrt()
        return self.matrix(size if self.kept is None else size.where(self.kept, -1.0))

    def block_scores(self, rows: int, columns: int) -> Tensor:
        """Root mean square of the importances of each block of channels, of its sign where all are pruned.

        Returns:
            Shape (rows of blocks, columns of blocks, everything else).
        """
        size = self.importances()
        blocks = size.reshape(size.shape[0] // rows, rows, size.shape[1] // columns, columns, -1)
        squares = (blocks * blocks.abs()).mean((1, 3))
        return squares.abs().sqrt() * squares.sign()

    def from_blocks(self, blocks: Tensor, rows: int, columns: int) -> Tensor:
        """One boolean a block, spread over its elements, less what an earlier pruning took."""
        kept = self.back(blocks.repeat_interleave(rows, 0).repeat_interleave(columns, 1))
        return kept if self.kept is None else kept & self.kept


def below(scores: Tensor, deviations: float) -> float:
    """Share of the scores that are less than so many of their weights' standard deviations, taken about zero.

    Han, Pool, Tran and Dally 2015, "Learning both weights and connections", section 4: a layer's threshold is its standard
    deviation times a quality parameter. What was pruned before does not count as spread.
    """
    spread = scores[scores >= 0].square().mean().sqrt()
    return float((scores < deviations * spread).double().mean())


def beyond_effective(scores: Tensor, factor: float) -> float:
    """Share of the scores that is left when `factor` times their effective number stay.

    The effective number of elements is (L1 / L2)², between 1 and all of them: so many equal ones would have the same two norms (Hurley
    and Rickard 2009, "Comparing measures of sparsity"; as a pruning rule: Diao et al. 2023, "Pruning deep neural networks from a
    sparsity perspective", with p = 1 and q = 2). It is small where few elements are large, and the others can go.
    """
    sizes = scores.clamp_min(0).double()
    squares = float(sizes.square().sum())
    effective = float(sizes.sum()) ** 2 / squares if squares else 0.0
    return min(max(1 - factor * effective / len(scores), 0.0), 1.0)


def largest(scores: Tensor, sparsity: float) -> Tensor:
    """Which scores stay when that share of the smallest goes; of equal ones, the later."""
    kept = torch.ones_like(scores, dtype=torch.bool)
    kept[scores.argsort(stable=True)[: round(sparsity * len(scores))]] = False
    return kept


def n_of_m(weight: Prunable, n: int, m: int) -> Tensor:
    """What stays of a weight: the N most important of M neighbouring input channels, of each output channel and position."""
    size = weight.importances()
    blocks = size.reshape(size.shape[0], -1, m, size.shape[2])
    kept = torch.zeros_like(blocks, dtype=torch.bool).scatter_(2, blocks.topk(n, 2).indices, value=True)
    result = weight.back(kept.reshape(size.shape))
    return result if weight.kept is None else result & weight.kept
