"""The table from ATen operator to the function that writes it.

An emitter is ``(Emission, fx.Node, Outcome) -> Value``; it registers itself::

    @emits(aten.add.Tensor, integers=(INT8, INT16), fuses=True)
    def add(emission, node, out): ...

To add an operator: write its emitter in the file of its family, and a line in that family's test. Nothing else changes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from torch import fx

if TYPE_CHECKING:
    from edgekit_converters.litert.emission import Emission, Outcome
    from edgekit_converters.litert.values import Value

INT8, INT16 = "int8", "int16"
Emit = Callable[["Emission", fx.Node, "Outcome"], "Value"]

FAMILIES = (
    "activation", "comparison", "convolution", "elementwise", "indexing", "linear", "pooling", "quantize", "reduction", "resize", "shape",
)  # fmt: skip


@dataclass(frozen=True)
class Emitter:
    """How one ATen operator is written.

    Attributes:
        emit: Writes it.
        integers: Integer dtypes its kernel computes in; in all others it computes in float.
        fuses: Whether its kernel applies relu, relu6 or relu_n1_to_1 to its result for free.
        view: It moves no data: it keeps the dtype and grid of its operand, whatever they are.
    """

    emit: Emit
    integers: tuple[str, ...] = ()
    fuses: bool = False
    view: bool = False


_EMITTERS: dict[Any, Emitter] = {}


def emits(*targets: Any, integers: tuple[str, ...] = (), fuses: bool = False, view: bool = False) -> Callable[[Emit], Emit]:
    """Register an emitter for ATen overloads."""

    def register(emit: Emit) -> Emit:
        for target in targets:
            _EMITTERS[target] = Emitter(emit, integers, fuses, view)
        return emit

    return register


@cache
def emitters() -> dict[Any, Emitter]:
    """Every emitter by ATen overload."""
    for family in FAMILIES:
        importlib.import_module(f"edgekit_converters.litert.{family}")
    return _EMITTERS


def supported() -> dict[str, tuple[str, ...]]:
    """Base name of every ATen operator that can be written, to the dtypes its kernel computes in."""
    found = {
        target._schema.name.split("::")[1]: ("float32", *emitter.integers)
        for target, emitter in emitters().items()
        if hasattr(target, "_schema")
    }
    return dict(sorted(found.items()))
