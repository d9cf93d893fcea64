"""Quantization schemes by name: how wide weights and activations are, and when activations are rounded.

The grammar: ``w<bits>[b<block>][a<bits> | ad<bits>]``

=========  ================================================================================
``w8a8``   static int8: asymmetric activations, symmetric per-channel weights, int32 bias
``w8a16``  int16 activations, int8 weights, int64 bias
``w4a8``   int8 activations, int4 weights with a scale for each output channel
``w8ad8``  dynamic range: int8 weights, activations rounded at run time
``w8``     weight-only int8: float arithmetic
``w6``     weight-only at 6 bits, or at any width from 2 to 7
``w4b32``  weight-only int4, one scale for each block of 32 weights
=========  ================================================================================

and two words: ``fp16`` (weights in half precision) and ``float32`` (nothing).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.errors import UsageError

SCHEMES: dict[str, str] = {
    "w8a8": "static int8: asymmetric int8 activations, symmetric per-channel int8 weights, int32 bias",
    "w8a16": "int16x8: symmetric int16 activations, symmetric per-channel int8 weights, int64 bias",
    "w4a8": "int8x4: int8 activations, symmetric per-channel int4 weights where a kernel takes them, else int8 ones",
    "w8ad8": "dynamic-range int8: int8 weights, activations rounded to int8 at run time",
    "w8": "weight-only int8: per-channel int8 weights, float arithmetic",
    "w6": "weight-only at 6 bits (2 to 7 alike), where the format has such weights: per-channel scales, float arithmetic",
    "w4b32": "weight-only int4: blocks of 32 weights share a scale, float arithmetic",
    "fp16": "weights stored in half precision, float arithmetic",
    "float32": "as trained",
}

_GRAMMAR = re.compile(r"w(?P<weight>[2-8])(?:b(?P<block>32|64|128))?(?:a(?P<dynamic>d)?(?P<activation>8|16))?")


@dataclass(frozen=True)
class Scheme:
    """A parsed scheme name.

    Attributes:
        name: As written.
        weight_bits: 2 to 8, 16 (half precision) or 32.
        activation_bits: 8 or 16, or None where activations stay float.
        dynamic: Whether activations are rounded at run time instead of by calibration.
        block: Weights that share a scale, else None (one scale a channel).
    """

    name: str
    weight_bits: int
    activation_bits: int | None = None
    dynamic: bool = False
    block: int | None = None

    @property
    def static(self) -> bool:
        """Whether activations have calibrated grids."""
        return self.activation_bits is not None and not self.dynamic


def parse_scheme(name: str) -> Scheme:
    """Read a scheme name.

    Raises:
        UsageError: The name is not in the grammar, or names a combination no kernel has.
    """
    if name == "float32":
        return Scheme(name, 32)
    if name == "fp16":
        return Scheme(name, 16)
    match = _GRAMMAR.fullmatch(name)
    if match is None:
        raise UsageError(f"unknown quantization scheme {name!r}", accepted=list(SCHEMES), next_step="edgekit recipes")
    bits, block = int(match["weight"]), int(match["block"]) if match["block"] else None
    activation = int(match["activation"]) if match["activation"] else None
    dynamic = match["dynamic"] is not None
    narrow = bits != 8 and (activation == 16 or (bits != 4 and activation is not None))
    unknown_kernel = (block and activation) or (dynamic and activation != 8) or narrow
    if unknown_kernel:
        raise UsageError(f"no kernel computes scheme {name!r}", accepted=list(SCHEMES), next_step="edgekit recipes")
    return Scheme(name, bits, activation, dynamic, block)
