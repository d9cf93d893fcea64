"""Operators that map elements one by one, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgekit_runtimes._coreml.arguments import number, real, unknown
from edgekit_runtimes._coreml.registry import op, register

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "acos": torch.acos, "asin": torch.asin, "atan": torch.atan, "atanh": torch.atanh, "cos": torch.cos, "cosh": torch.cosh,
    "erf": torch.erf, "exp": torch.exp, "exp2": torch.exp2, "sin": torch.sin, "sinh": torch.sinh, "sqrt": torch.sqrt,
    "tan": torch.tan, "tanh": torch.tanh,
}  # fmt: skip
"""Of real numbers."""

_EXACT: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs, "ceil": torch.ceil, "floor": torch.floor, "round": torch.round, "sign": torch.sign, "square": torch.square,
    "logical_not": torch.logical_not, "identity": torch.clone,
}  # fmt: skip
"""Of any numbers. ``round`` is to even, as MIL's is."""

_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "maximum": torch.maximum, "minimum": torch.minimum, "pow": torch.pow,
    "equal": torch.eq, "not_equal": torch.ne, "greater": torch.gt, "greater_equal": torch.ge, "less": torch.lt, "less_equal": torch.le,
    "logical_and": torch.logical_and, "logical_or": torch.logical_or, "logical_xor": torch.logical_xor,
    "mod": torch.remainder,
}  # fmt: skip

_CAST = ("fp16", "fp32", "int8", "int16", "int32", "uint8", "uint16", "bool")


def _unary(function: Callable[[Tensor], Tensor], *, exact: bool) -> Callable[..., Tensor]:
    def compute(x: Tensor) -> Tensor:
        return function(x if exact else real(x))

    return compute


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def compute(x: Tensor, y: Tensor) -> Tensor:
        return function(x, y)

    return compute


for _name, _function in _UNARY.items():
    register(_name, _unary(_function, exact=False), "elementwise")
for _name, _function in _EXACT.items():
    register(_name, _unary(_function, exact=True), "elementwise")
for _name, _both in _BINARY.items():
    register(_name, _binary(_both), "elementwise")


@op
def real_div(x: Tensor, y: Tensor) -> Tensor:
    """Quotient; of integers rounded towards zero, as their type demands."""
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


@op
def floor_div(x: Tensor, y: Tensor) -> Tensor:
    """Quotient rounded downwards."""
    return torch.div(x, y, rounding_mode="floor")


@op
def inverse(x: Tensor, epsilon: Tensor | float = 1e-4) -> Tensor:
    """``1 / (x + epsilon)``."""
    return 1 / (x + number(epsilon))


@op
def rsqrt(x: Tensor, epsilon: Tensor | float = 1e-12) -> Tensor:
    """``1 / sqrt(x + epsilon)``."""
    return torch.rsqrt(x + number(epsilon))


@op
def log(x: Tensor, epsilon: Tensor | float = 1e-45) -> Tensor:
    """``log(x + epsilon)``."""
    return torch.log(real(x) + number(epsilon))


@op
def clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Limited to ``alpha`` … ``beta``."""
    return torch.clamp(x, number(alpha), number(beta))


@op
def threshold(x: Tensor, alpha: Tensor) -> Tensor:
    """At least ``alpha``."""
    return torch.clamp_min(x, number(alpha))


@op
def cast(x: Tensor, dtype: str) -> Tensor:
    """To another type: floats lose their fraction, nonzero is true. Rounding to half precision is the evaluator's."""
    if dtype not in _CAST:
        raise unknown("dtype", dtype, _CAST)
    if dtype == "bool":
        return x != 0
    if dtype in ("fp16", "fp32"):
        return x.to(torch.float32)
    return x.trunc() if x.is_floating_point() else x


@op
def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a`` where the condition holds, else ``b``."""
    return torch.where(cond.bool(), a, b)
