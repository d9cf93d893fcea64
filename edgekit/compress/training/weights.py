"""A weight while it trains: what the optimizer moves, and what the graph computes with.

Each is a module without inputs that gives the weight, in the place of its ``get_attr`` node. `learned` chooses by the constraints
that earlier passes imposed, so that what comes out satisfies them after every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from edgekit.constraints import Codebook, Constraint, Mask, grouped, project, ungrouped


class Weight(nn.Module):
    """A weight without constraints.

    Attributes:
        parameter: What the optimizer moves.
        regularised: Whether weight decay and L1 regularisation apply.
    """

    def __init__(self, value: Tensor, *, regularised: bool) -> None:
        super().__init__()
        dense = torch.channels_last if value.dim() == 4 else torch.contiguous_format
        self.parameter = nn.Parameter(value.detach().clone(memory_format=dense))
        self.regularised = regularised

    def forward(self) -> Tensor:
        """The weight to compute with."""
        return self.parameter

    def project(self) -> None:
        """Restore after an optimizer's step what it may have broken."""

    def value(self) -> Tensor:
        """The weight, as the graph will have it."""
        return self.forward().detach().cpu().contiguous()

    def imposed(self) -> tuple[Constraint, ...]:
        """Constraints that have changed with the weight, to replace those of their kind."""
        return ()


class Pruned(Weight):
    """A weight with a mask and nothing else: elements that are zero stay zero."""

    kept: Tensor

    def __init__(self, value: Tensor, mask: Mask) -> None:
        super().__init__(value, regularised=True)
        self.register_buffer("kept", mask.kept, persistent=False)

    @torch.no_grad()
    def project(self) -> None:
        """Zero what the mask zeroes."""
        self.parameter.mul_(self.kept)


class Clustered(Weight):
    """A weight of table entries: the tables train, each element keeps its entry (Han, Mao and Dally 2016, section 3.3).

    An entry's gradient is the sum over its elements there; here it is divided by the square root of their number, so that
    a learning rate that suits single weights suits entries of any number of elements. Tables hold half-precision values: the forward
    pass rounds them, the gradient goes straight through.
    """

    indices: Tensor
    kept: Tensor | None

    def __init__(self, value: Tensor, codebook: Codebook) -> None:
        super().__init__(codebook.tables, regularised=False)
        self._codebook, self._shape = codebook, value.shape
        rows = grouped(codebook.assignments(value), codebook.axis, codebook.groups).long()
        self.register_buffer("indices", rows, persistent=False)
        self.register_buffer("kept", value != 0 if codebook.sparse else None, persistent=False)
        counts = torch.zeros_like(codebook.tables).scatter_add_(1, rows, torch.ones(rows.shape)).clamp_min(1)
        self.parameter.register_hook(lambda gradient: gradient / counts.sqrt().to(gradient.device))  # type: ignore[no-untyped-call]

    def forward(self) -> Tensor:
        """Each element's entry."""
        tables = self.parameter + (self.parameter.half().float() - self.parameter).detach()
        weight = ungrouped(tables.gather(1, self.indices), self._shape, self._codebook.axis)
        return weight if self.kept is None else weight * self.kept

    def imposed(self) -> tuple[Constraint, ...]:
        """The codebook with the tables as they are now, ascending."""
        tables = self.parameter.detach().cpu().half().float().sort(1)[0]
        return (replace(self._codebook, tables=tables),)


class Projected(Weight):
    """A weight with constraints of any other kind: computed with as projected, its gradient goes straight through to a free weight."""

    def __init__(self, value: Tensor, constraints: Sequence[Constraint]) -> None:
        super().__init__(value, regularised=True)
        self._constraints = tuple(constraints)

    def forward(self) -> Tensor:
        """The nearest weight that satisfies the constraints."""
        nearest = project(self._constraints, self.parameter.detach().cpu()).to(self.parameter.device)  # constraints stay where they are
        return self.parameter + (nearest - self.parameter).detach()

    def value(self) -> Tensor:
        """That weight, exactly."""
        return project(self._constraints, self.parameter.detach().cpu().contiguous())


def learned(value: Tensor, constraints: Sequence[Constraint], *, regularised: bool) -> Weight:
    """The module for a weight.

    Args:
        value: The weight, which satisfies the constraints.
        constraints: All that were imposed on it.
        regularised: Whether a free weight is regularised (biases are not).
    """
    codebook = next((c for c in constraints if isinstance(c, Codebook)), None)
    if any(not isinstance(c, (Mask, Codebook)) for c in constraints):
        return Projected(value, constraints)
    if codebook is not None:
        return Clustered(value, codebook)
    mask = next((c for c in constraints if isinstance(c, Mask)), None)
    return Pruned(value, mask) if mask is not None else Weight(value, regularised=regularised)
