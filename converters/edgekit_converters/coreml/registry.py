"""The table from ATen operator to the function that writes it.

An emitter is ``(Emission, fx.Node) -> Value``; it registers itself::

    @emits(aten.relu.default)
    def relu(emission, node):
        return emission.op("relu", x=node.args[0])

To add an operator: write its emitter in the file of its family, and a line in that family's test. Nothing else changes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from torch import fx

if TYPE_CHECKING:
    from edgekit_converters.coreml.emission import Emission
    from edgekit_converters.coreml.values import Value

Emit = Callable[["Emission", fx.Node], "Value"]

FAMILIES = (
    "activation", "attention", "comparison", "convolution", "elementwise", "indexing", "linear", "normalization", "pooling", "quantize",
    "reduction", "resize", "shape",
)  # fmt: skip

_EMITTERS: dict[Any, Emit] = {}


def emits(*targets: Any) -> Callable[[Emit], Emit]:
    """Register an emitter for ATen overloads."""

    def register(emit: Emit) -> Emit:
        for target in targets:
            _EMITTERS[target] = emit
        return emit

    return register


@cache
def emitters() -> dict[Any, Emit]:
    """Every emitter by ATen overload."""
    for family in FAMILIES:
        importlib.import_module(f"edgekit_converters.coreml.{family}")
    return _EMITTERS


def supported() -> tuple[str, ...]:
    """Base names of the ATen operators that can be written."""
    names = {target._schema.name.split("::")[1] for target in emitters() if hasattr(target, "_schema")}
    return tuple(sorted(names))
