"""The table from ATen operator to the function that writes it.

An emitter is ``(Emission, fx.Node) -> Value``; it registers itself::

    @emits(aten.relu.default)
    def relu(emission, node):
        return emission.op("relu", x=node.args[0])

To add an operator: write its emitter in the file of its family, and a line in that family's test. Nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import fx

from edgekit_converters._registry import Registry

if TYPE_CHECKING:
    from edgekit_converters.coreml.emission import Emission
    from edgekit_converters.coreml.values import Value

Emit = Callable[["Emission", fx.Node], "Value"]

FAMILIES = (
    "activation", "attention", "comparison", "convolution", "elementwise", "indexing", "linear", "normalization", "pooling", "quantize",
    "recurrent", "reduction", "resize", "shape",
)  # fmt: skip

EMITTERS: Registry[Emit] = Registry("edgekit_converters.coreml", FAMILIES)
emits = EMITTERS.register
