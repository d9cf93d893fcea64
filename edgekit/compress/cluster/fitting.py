"""Assignments and tables of one layer that give back its float outputs, by least squares.

Given the second moments H of what the layer reads (`hessians`) and the weight W* that fits the float outputs best, the error
of a clustered weight Q is tr((Q - W*) H (Q - W*)ᵀ). It is lowered in turn by

* coordinate descent over assignments: with all other columns fixed, each element's best entry is the one nearest to
  ``Q - ((Q - W*) H) / diag(H)`` (QuantEase, Behdin et al. 2023; what a column changes is told to its block at once, to the others when
  their turn comes, as in GPTQ, Frantar et al. 2023, section 4, lazy batch updates), and
* least squares over the tables with assignments fixed (LNQ, in GuidedQuant, Kim et al. 2025, section 4): as few unknowns
  as entries, so conjugate gradients end soon.

Neither step raises the error. All tensors are stacked over the groups of a grouped convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from edgekit.compress.cluster.hessians import Hessian, Measured

ROUNDS = 4
BLOCK = 64
_SOLVER_STEPS = 12


@dataclass(frozen=True)
class Target:
    """What a layer's weight should be, and what errors cost.

    Attributes:
        weight: Shape (groups, rows, columns), the weight that fits best.
        hessian: Second moments of the inputs, with a ridge.
        kept: Bool, of the weight's shape: the elements that are not pruned.
    """

    weight: Tensor
    hessian: Hessian
    kept: Tensor

    @classmethod
    def fitted(cls, weight: Tensor, products: Tensor, moments: Tensor, kept: Tensor, ridge: float) -> Target:
        """The weight that, applied to the inputs seen, comes nearest to the outputs wanted: ridge regression towards the float one.

        Args:
            weight: The float weight (groups, rows, columns).
            products: Mean of outputs times inputs, both centred, of the weight's shape.
            moments: Mean of inputs times inputs, centred.
            kept: See `Target`.
            ridge: What a change of the weight costs, in shares of the mean of the moments' diagonal.
        """
        diagonal = moments.diagonal(dim1=1, dim2=2).mean(1, keepdim=True)
        damping = (ridge * diagonal.clamp_min(torch.finfo(torch.float32).tiny))[..., None]
        damped = moments + damping * torch.eye(moments.shape[1], dtype=moments.dtype)
        solved = torch.linalg.solve(damped, (products + damping * weight).mT).mT
        return cls(solved.float(), Measured(damped.float()), kept)

    def error(self, weight: Tensor) -> float:
        """What `weight` costs."""
        off = weight - self.weight
        return float((self.hessian.times(off) * off).double().sum())


def fit(target: Target, start: Tensor, table_of_row: Tensor, *, refit: bool) -> tuple[Tensor, Tensor]:
    """Lower the error of a clustered weight.

    Args:
        target: What to come near to.
        start: Tables to start from, shape (tables, entries), ascending.
        table_of_row: Index of the table of each row, shape (groups, rows).
        refit: Whether the tables may change.

    Returns:
        The clustered weight (groups, rows, columns) and its tables.
    """
    tables = start
    weight = Lookup.of(tables, table_of_row).nearest(target.weight).where(target.kept, 0.0)
    for _ in range(ROUNDS):
        weight = descend(target, weight, Lookup.of(tables, table_of_row).nearest_in_column)
        if refit:
            tables, weight = _refitted(target, weight, tables, table_of_row)
    return weight, tables


@dataclass(frozen=True)
class Lookup:
    """The table of each row.

    Attributes:
        entries: Shape (rows of all groups, entries), ascending.
        middles: Between neighbouring entries, shape (rows of all groups, entries - 1).
    """

    entries: Tensor
    middles: Tensor

    @classmethod
    def of(cls, tables: Tensor, table_of_row: Tensor) -> Lookup:
        """Of tables (tables, entries) and the number of each row's, (groups, rows)."""
        entries = tables[table_of_row.flatten()]
        return cls(entries, ((entries[:, 1:] + entries[:, :-1]) / 2).contiguous())

    def indices(self, values: Tensor) -> Tensor:
        """Of the entries nearest to (groups, rows, columns) of values: shape (rows of all groups, columns)."""
        return torch.searchsorted(self.middles, values.reshape(len(self.entries), -1).contiguous())

    def nearest(self, values: Tensor) -> Tensor:
        """The entries nearest to (groups, rows, columns) of values."""
        return self.entries.gather(1, self.indices(values)).reshape(values.shape)

    def nearest_in_column(self, values: Tensor, _: int) -> Tensor:
        """The entries nearest to (groups, rows) of values, of whatever column."""
        return self.nearest(values)


def descend(target: Target, weight: Tensor, nearest: Callable[[Tensor, int], Tensor]) -> Tensor:
    """One sweep of coordinate descent over the columns.

    Args:
        target: What to come near to.
        weight: To start from, shape (groups, rows, columns).
        nearest: Given values of shape (groups, rows) and their column, the nearest that an element may have there.

    Returns:
        A weight that costs no more.
    """
    weight, hessian = weight.clone(), target.hessian
    diagonal = hessian.diagonal
    for begin in range(0, weight.shape[2], BLOCK):
        block = slice(begin, min(begin + BLOCK, weight.shape[2]))
        slope, among = hessian.times(weight - target.weight, block), hessian.among(block)
        for column in range(block.start, block.stop):
            old = weight[:, :, column]
            wanted = old - slope[:, :, column - begin] / diagonal[:, column, None]
            new = nearest(wanted, column).where(target.kept[:, :, column], 0.0)
            slope += (new - old)[..., None] * among[:, None, column - begin]
            weight[:, :, column] = new
    return weight


def _refitted(target: Target, weight: Tensor, tables: Tensor, table_of_row: Tensor) -> tuple[Tensor, Tensor]:
    """The tables of least error for the weight's assignments, as stored; the old ones if rounding made the new ones worse."""
    indices = Lookup.of(tables, table_of_row).indices(weight)
    entry = (indices + tables.shape[1] * table_of_row.flatten()[:, None]).reshape(weight.shape)

    def spread(flat: Tensor) -> Tensor:
        return flat[entry].where(target.kept, 0.0)

    def collected(values: Tensor) -> Tensor:
        return torch.zeros(tables.numel()).index_add_(0, entry.flatten(), values.where(target.kept, 0.0).flatten())

    scale = collected(target.hessian.diagonal[:, None].expand_as(weight)).clamp_min(torch.finfo(torch.float32).tiny)
    step = _conjugate_gradients(
        lambda flat: collected(target.hessian.times(spread(flat))), collected(target.hessian.times(target.weight - weight)), scale
    )
    flat = (tables.flatten() + step).half().float()
    better = spread(flat)
    if not bool(flat.isfinite().all()) or target.error(better) > target.error(weight):
        return tables, weight
    return flat.reshape(tables.shape).sort(1)[0], better


def _conjugate_gradients(product: Callable[[Tensor], Tensor], right: Tensor, scale: Tensor) -> Tensor:
    """Solve ``product(x) = right`` approximately, from zero, preconditioned by the diagonal `scale`."""
    x, residual = torch.zeros_like(right), right
    scaled = residual / scale
    direction, size = scaled, float(residual @ scaled)
    for _ in range(min(_SOLVER_STEPS, len(right))):
        if size <= 0:
            break
        image = product(direction)
        length = size / max(float(direction @ image), torch.finfo(torch.float32).tiny)
        x, residual = x + length * direction, residual - length * image
        scaled = residual / scale
        size, last = float(residual @ scaled), size
        direction = scaled + size / last * direction
    return x
