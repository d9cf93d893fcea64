"""The table from ATen operator to the function that writes it.

An emitter is ``(Emission, fx.Node, Outcome) -> Value``; it registers itself::

    @emits(aten.add.Tensor, integers=(INT8, INT16), fuses=True)
    def add(emission, node, out): ...

To add an operator: write its emitter in the file of its family, and a line in that family's test. Nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import fx

from edgekit_converters._registry import Registry

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


EMITTERS: Registry[Emitter] = Registry("edgekit_converters.litert", FAMILIES)


def emits(*targets: Any, integers: tuple[str, ...] = (), fuses: bool = False, view: bool = False) -> Callable[[Emit], Emit]:
    """Register an emitter for ATen overloads."""

    def register(emit: Emit) -> Emit:
        EMITTERS.register(*targets)(Emitter(emit, integers, fuses, view))
        return emit

    return register
