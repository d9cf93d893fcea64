"""The operators the evaluator has, by MIL name.

An operator is a plain function of torch tensors whose parameters are MIL's: what the file leaves out takes the function's default, which is
MIL's. Half-precision values arrive as float32 that fits half precision; the evaluator rounds results, not the function. Integer parameters
(strides, axes) arrive as tensors, strings as `str`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

Compute = Callable[..., Any]
F = TypeVar("F", bound=Compute)

FAMILIES = (
    "activation",
    "convolution",
    "elementwise",
    "indexing",
    "linear",
    "normalization",
    "pooling",
    "quantization",
    "recurrent",
    "reduction",
    "resize",
    "shape",
    "spatial",
)


MISSING: dict[str, tuple[str, ...]] = {
    "control flow": ("cond", "while_loop"),
    "lists": ("list_gather", "list_length", "list_read", "list_scatter", "list_write", "make_list"),
    "random numbers": ("random_bernoulli", "random_categorical", "random_normal", "random_uniform"),
    "state kept from run to run": ("read_state",),
    "what Core ML computes differently from its documentation, or pads in ways it does not state": (
        "local_response_norm",
        "non_maximum_suppression",
        "conv_quantized",
    ),
}
"""Operators of iOS 15 to 18 that are not here, by why."""


@dataclass(frozen=True)
class Op:
    """An operator.

    Attributes:
        name: MIL's.
        family: The module of `ops` it is in.
        compute: Its function.
        variadic: Parameters that take a list of tensors.
        parameters: All.
        required: Those without a default.
        takes_type: Whether the function wants to know the declared type of its first result (``out``).
    """

    name: str
    family: str
    compute: Compute
    variadic: frozenset[str]
    parameters: frozenset[str]
    required: frozenset[str]
    takes_type: bool


_OPS: dict[str, Op] = {}


def op(function: F) -> F:
    """Register a function as the operator of its name; a trailing underscore avoids Python's words."""
    register(function.__name__.rstrip("_"), function, function.__module__.rpartition(".")[2])
    return function


def register(name: str, function: Compute, family: str) -> None:
    """Register a function as the operator `name` of a family."""
    parameters = {n: p for n, p in inspect.signature(function).parameters.items() if n != "out"}
    _OPS[name] = Op(
        name,
        family,
        function,
        frozenset(n for n, p in parameters.items() if str(p.annotation).startswith("Sequence")),
        frozenset(parameters),
        frozenset(n for n, p in parameters.items() if p.default is inspect.Parameter.empty),
        "out" in inspect.signature(function).parameters,
    )


@cache
def operators() -> Mapping[str, Op]:
    """All operators by name, sorted."""
    for family in FAMILIES:
        import_module(f"edgekit_runtimes._coreml.ops.{family}")
    return dict(sorted(_OPS.items()))
