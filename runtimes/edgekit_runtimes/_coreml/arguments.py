"""Parameters of operators as Python values: they arrive as tensors, or as the function's own defaults."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def ints(value: Any) -> list[int]:
    """A list of integers."""
    return [int(v) for v in value.reshape(-1).tolist()] if isinstance(value, Tensor) else [int(v) for v in value]


def number(value: Any) -> float:
    """A single real number."""
    return float(value.item()) if isinstance(value, Tensor) else float(value)


def integer(value: Any) -> int:
    """A single integer."""
    return int(number(value))


def flag(value: Any) -> bool:
    """A single truth value."""
    return bool(number(value))


def flags(value: Any, count: int) -> list[bool]:
    """Truth values; all false if there are none."""
    return [False] * count if value is None else [bool(v) for v in ints(value)]


def axis_of(value: Any, rank: int) -> int:
    """An axis counted from the front.

    Raises:
        ValueError: There is no such axis.
    """
    axis = integer(value)
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a tensor of rank {rank}")
    return axis % rank


def along(vector: Tensor, rank: int, axis: int) -> Tensor:
    """A vector in the shape that broadcasts along an axis of a tensor of that rank."""
    return vector.reshape([-1 if i == axis % rank else 1 for i in range(rank)])


def real(value: Tensor) -> Tensor:
    """A tensor to compute real functions of: integers become float32."""
    return value if value.is_floating_point() else value.to(torch.float32)


def unknown(parameter: str, got: Any, known: Any) -> ValueError:
    """The error for a choice an operator does not have."""
    return ValueError(f"{parameter} is {got!r}; known are {', '.join(map(str, known))}")
