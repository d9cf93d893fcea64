"""What a rewrite is, and the pen it writes its nodes with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.graph import aten, call, constant, dtype_of


@dataclass(frozen=True)
class Rewrite:
    """Expresses one canonical operator through others.

    Attributes:
        targets: The overloads it looks at.
        apply: Given a node of `targets`, writes its replacement in front of it and returns that, or None where the
            node stays (or where it has seen to the node's users itself).
    """

    targets: tuple[Any, ...]
    apply: Callable[[fx.Node], fx.Node | None]


@dataclass(frozen=True)
class Pen:
    """Writes nodes in front of `node`, as made by the same user module.

    A Python number among the operands becomes a 0-d constant, as canonical form asks.
    """

    node: fx.Node

    def __call__(self, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        """Any ATen call."""
        return call(self.node, target, *args, like=self.node, **kwargs)

    def constant(self, tensor: Tensor, name: str) -> fx.Node:
        """A constant named after the node it stands in for."""
        return constant(self.node, tensor, f"{self.node.name}_{name}")

    def number(self, value: float, like: fx.Node) -> fx.Node:
        """A 0-d constant of the dtype of `like`."""
        return self.constant(torch.tensor(value, dtype=dtype_of(like)), "number")

    def add(self, x: fx.Node, y: fx.Node | float) -> fx.Node:
        """X + y."""
        return self(aten.add.Tensor, x, self._operand(x, y))

    def sub(self, x: fx.Node, y: fx.Node | float) -> fx.Node:
        """X - y."""
        return self(aten.sub.Tensor, x, self._operand(x, y))

    def mul(self, x: fx.Node, y: fx.Node | float) -> fx.Node:
        """X * y."""
        return self(aten.mul.Tensor, x, self._operand(x, y))

    def mean(self, x: fx.Node, dims: list[int]) -> fx.Node:
        """Mean over `dims`, which stay as size 1."""
        return self(aten.mean.dim, x, dims, True)

    def reshape(self, x: fx.Node, shape: list[int]) -> fx.Node:
        """`x`, in another shape; itself where the shape is already that."""
        return x if list(x.meta["val"].shape) == shape else self(aten.reshape.default, x, shape)

    def permute(self, x: fx.Node, dims: list[int]) -> fx.Node:
        """`x` with its dimensions reordered; itself where they stay."""
        return x if dims == sorted(dims) else self(aten.permute.default, x, dims)

    def slice(self, x: fx.Node, dim: int, start: int, stop: int) -> fx.Node:
        """x[start:stop] along `dim`; itself where that is all of it."""
        whole = start == 0 and stop == x.meta["val"].shape[dim]
        return x if whole else self(aten.slice.Tensor, x, dim, start, stop, 1)

    def _operand(self, x: fx.Node, y: fx.Node | float) -> fx.Node:
        return y if isinstance(y, fx.Node) else self.number(y, x)
