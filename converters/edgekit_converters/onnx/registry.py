"""The table from ATen operator to the function that writes it.

An emitter is ``(Emission, fx.Node) -> ir.Value`` (a tuple of them for an operator with several results); it registers itself::

    @emits(aten.add.Tensor)
    def add(emission, node): ...

To add an operator: write its emitter in the file of its family, and a line in that family's test. Nothing else changes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from torch import fx

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgekit_converters.onnx.emission import Emission

Emit = Callable[["Emission", fx.Node], "ir.Value | tuple[ir.Value, ...]"]

FAMILIES = (
    "activation", "comparison", "convolution", "elementwise", "indexing", "linear", "normalization", "pooling", "quantize", "recurrent",
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
        importlib.import_module(f"edgekit_converters.onnx.{family}")
    return _EMITTERS


def supported() -> dict[str, tuple[str, ...]]:
    """Base name of every ATen operator that can be written, to the dtypes it computes in."""
    names = {target._schema.name.split("::")[1] for target in emitters() if hasattr(target, "_schema")}
    return dict.fromkeys(sorted(names), ("float32",))
