"""The table from ATen operator to the function that writes it.

An emitter is ``(Emission, fx.Node) -> ir.Value`` (a tuple of them for an operator with several results); it registers itself::

    @emits(aten.add.Tensor)
    def add(emission, node): ...

To add an operator: write its emitter in the file of its family, and a line in that family's test. Nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import fx

from edgekit_converters._registry import Registry

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgekit_converters.onnx.emission import Emission

Emit = Callable[["Emission", fx.Node], "ir.Value | tuple[ir.Value, ...]"]

FAMILIES = (
    "activation", "comparison", "convolution", "elementwise", "indexing", "linear", "normalization", "pooling", "quantize", "recurrent",
    "reduction", "resize", "shape",
)  # fmt: skip

EMITTERS: Registry[Emit] = Registry("edgekit_converters.onnx", FAMILIES)
emits = EMITTERS.register
