"""What passes impose on weights, so that later passes and every fine-tuning step can keep it.

A `Constraint` belongs to one weight of a graph (the target of its ``get_attr`` node) and maps any tensor of the weight's shape
to the nearest one that satisfies it. The graph carries them (`edgekit.graph.constrain`, `edgekit.graph.constraints_of`,
``Graph.constraints``) and `edgekit.graph.finish` refuses a rewrite that loses one. Several on one weight hold together:
`project` applies them in the order of `ORDER`.

Integer grids are no constraints: a quantized weight is a fake-quantize node of the graph (`edgekit.graph.grid_of`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

BITS = (1, 2, 3, 4, 6, 8)
"""Widths of a codebook's indices: what Core ML has lookup tables for."""

Change = Callable[[Tensor], Tensor]
"""Makes a new weight of an old one by reordering, selecting or scaling its elements; linear, and zero stays zero."""


@dataclass(frozen=True, eq=False)
class Constraint(ABC):
    """What a pass imposed on a weight. Immutable: copies of a graph share it.

    Attributes:
        weight: Target of the weight's ``get_attr`` node.
    """

    kind: ClassVar[str]
    scalable: ClassVar[bool]
    """Whether it survives a scaling of the weight's channels."""

    weight: str

    @abstractmethod
    def project(self, tensor: Tensor) -> Tensor:
        """The tensor nearest to `tensor` that satisfies the constraint; same shape and dtype."""

    @abstractmethod
    def after(self, change: Change, weight: str, value: Tensor) -> Constraint | None:
        """The constraint of a weight that `change` made of this one, or None where it does not survive.

        Args:
            change: Made the new weight of the old.
            weight: Target of the new weight.
            value: The new weight.
        """

    def holds(self, tensor: Tensor) -> bool:
        """Whether `tensor` satisfies it, exactly."""
        return torch.equal(self.project(tensor), tensor)

    def __deepcopy__(self, memo: dict[int, Any]) -> Constraint:
        return self


@dataclass(frozen=True, eq=False)
class Mask(Constraint):
    """Some elements are zero.

    Attributes:
        kept: Which elements may differ from zero: bool, of the weight's shape.
    """

    kind: ClassVar[str] = "mask"
    scalable: ClassVar[bool] = True

    kept: Tensor

    @property
    def sparsity(self) -> float:
        """Share of the elements that are zero."""
        return 1 - float(self.kept.float().mean())

    def project(self, tensor: Tensor) -> Tensor:
        """`tensor`, zero where the mask says so."""
        return tensor.where(self.kept, 0.0)

    def after(self, change: Change, weight: str, value: Tensor) -> Mask:
        """The mask goes where the elements go."""
        return Mask(weight, change(self.kept.float()) != 0)


@dataclass(frozen=True, eq=False)
class Codebook(Constraint):
    """All elements are entries of a small table, or of one table for each group of channels.

    Which entry an element has is recovered from its value (`assignments`), so the constraint stays true while values move.

    Attributes:
        bits: Width of an index; a table has 2**bits entries. One of `BITS`.
        tables: Shape (groups, 2**bits), each row ascending; equal entries are allowed. Values of half precision, as files store them.
        axis: The channel axis that is grouped; any axis where there is one table.
        sparse: Whether an element may also be zero, whatever the table says: the weight has a mask as well.
    """

    kind: ClassVar[str] = "codebook"
    scalable: ClassVar[bool] = False

    bits: int
    tables: Tensor
    axis: int = 0
    sparse: bool = False

    def __post_init__(self) -> None:
        assert self.bits in BITS and self.tables.shape[1] == 2**self.bits, (self.bits, self.tables.shape)
        assert bool((self.tables.diff(dim=1) >= 0).all()), "a table is not ascending"

    @property
    def groups(self) -> int:
        """Number of tables."""
        return len(self.tables)

    def assignments(self, tensor: Tensor) -> Tensor:
        """Index of the nearest entry for each element: uint8, of the shape of `tensor`; of the lower one where two are as near."""
        rows = grouped(tensor, self.axis, self.groups).contiguous()
        midpoints = (self.tables[:, 1:] + self.tables[:, :-1]) / 2
        indices = torch.searchsorted(midpoints.contiguous(), rows, out_int32=True)
        return ungrouped(indices.to(torch.uint8), tensor.shape, self.axis)

    def project(self, tensor: Tensor) -> Tensor:
        """Each element's nearest entry; zeros stay where the weight is sparse."""
        rows = grouped(self.assignments(tensor), self.axis, self.groups)
        nearest = ungrouped(self.tables.gather(1, rows.long()), tensor.shape, self.axis).to(tensor.dtype)
        return nearest.where(tensor != 0, 0.0) if self.sparse else nearest

    def after(self, change: Change, weight: str, value: Tensor) -> Codebook | None:
        """Itself, where the new weight still has entries of the right tables only: a reordering, no scaling."""
        moved = replace(self, weight=weight)
        return moved if value.shape[self.axis] % self.groups == 0 and moved.holds(value) else None


@dataclass(frozen=True, eq=False)
class Buckets(Constraint):
    """Elements of one bucket are equal but for their signs.

    Attributes:
        bucket: Of each element: int32, of the weight's shape.
        sign: Of each element: -1 or 1, float32.
    """

    kind: ClassVar[str] = "buckets"
    scalable: ClassVar[bool] = False

    bucket: Tensor
    sign: Tensor

    def project(self, tensor: Tensor) -> Tensor:
        """Each element's sign times the mean of its bucket."""
        where, sign = self.bucket.to(tensor.device).flatten().long(), self.sign.to(tensor.device)
        signed = (tensor * sign).flatten().double()  # exact: equal floats have themselves as their mean
        sums = signed.new_zeros(int(where.max()) + 1).index_add_(0, where, signed)
        means = sums / where.bincount(minlength=len(sums)).clamp_min(1)
        return (means[where].reshape(tensor.shape) * sign).to(tensor.dtype)

    def after(self, change: Change, weight: str, value: Tensor) -> Buckets | None:
        """Buckets go where the elements go; None where elements are scaled or added."""
        moved, signs = change(self.bucket.double() + 1) - 1, change(self.sign.double())
        if not (torch.equal(moved, moved.round()) and bool((signs.abs() == 1).all())):
            return None
        constraint = Buckets(weight, moved.to(torch.int32), signs.float())
        return constraint if constraint.holds(value) else None


ORDER: tuple[type[Constraint], ...] = (Mask, Codebook, Buckets)
"""A mask first: what it zeroes, a sparse codebook leaves."""


def project(constraints: Iterable[Constraint], tensor: Tensor) -> Tensor:
    """The nearest tensor that satisfies all of one weight's constraints."""
    for constraint in sorted(constraints, key=lambda c: ORDER.index(type(c))):
        tensor = constraint.project(tensor)
    return tensor


def grouped(tensor: Tensor, axis: int, groups: int) -> Tensor:
    """The elements of each group of consecutive channels of `axis`, shape (groups, elements)."""
    return tensor.reshape(1, -1) if groups == 1 else tensor.movedim(axis, 0).reshape(groups, -1)


def ungrouped(rows: Tensor, shape: Iterable[int], axis: int) -> Tensor:
    """Inverse of `grouped` for a tensor of `shape`."""
    sizes = list(shape)
    if len(rows) == 1:
        return rows.reshape(sizes)
    return rows.reshape(sizes[axis], *sizes[:axis], *sizes[axis + 1 :]).movedim(0, axis)
