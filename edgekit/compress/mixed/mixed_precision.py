"""Mixed precision: int8 where it serves, int16 activations or float where it does not, found by measuring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class MixedPrecision:
    """Quantizes as ``quantize`` does, with the overrides that keep to a budget of accuracy at the least cost. Goes in its place.

    Attributes:
        scheme: Of every module that needs no other; a static one of `edgekit.schemes`.
        fallbacks: What a module may be raised to, the cheapest first.
        max_drop: Budget: the accuracy (0 to 1) that may be lost on labelled samples: validation data, else the calibration data's labels.
        min_agreement: Budget: the share (0 to 1) of samples whose class must stay the float model's; needs no labels.
        min_sqnr: Budget: signal to quantization noise of the outputs, dB; for models that are no classifiers.
        calibration: How activation ranges are chosen; as for ``quantize``.
        overrides: Module path glob to a scheme that is given, not searched for; the last match wins.
    """

    name: ClassVar[str] = "mixed_precision"

    scheme: str = "w8a8"
    fallbacks: tuple[str, ...] = ("w8a16", "float32")
    max_drop: float | None = None
    min_agreement: float | None = None
    min_sqnr: float | None = None
    calibration: str = "mse"
    overrides: Mapping[str, str] = field(default_factory=dict, hash=False)
